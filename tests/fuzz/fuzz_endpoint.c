/* Any text as a source's and a sink's URL with options: refused with one line, or understood. */
#include "endpoint.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[1024];
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    for (int direction = DIRECTION_SOURCE; direction <= DIRECTION_SINK; direction++) {
        struct endpoint endpoint;
        struct error error = {{0}};
        bool ok = endpoint_parse(&endpoint, (enum direction)direction, text, &error);
        must(ok || error.text[0]);
        endpoint_free(&endpoint);
    }
    return 0;
}
