/* Any file as a configuration: refused with one line, or understood. */
#include "config_file.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    struct error error = {{0}};
    FILE *file = size > 0 ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
    if (!file)
        return 0;
    config_defaults(&config);
    bool ok = config_read(&config, file, "fuzz.yaml", &error) && config_check(&config, &error);
    must(ok || error.text[0]);
    config_free(&config);
    fclose(file);
    return 0;
}
