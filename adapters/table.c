#include <string.h>

#include "adapter.h"

const struct adapter *const adapters[] = {
    &file_adapter,
    &framestream_adapter,
    &nmsg_adapter,
    &nng_adapter,
    &http_adapter,
    &kafka_adapter,
    NULL,
};

const struct adapter *adapter_find(const char *scheme, size_t len)
{
    for (const struct adapter *const *a = adapters; *a; a++) {
        for (const char *const *s = (*a)->schemes; *s; s++) {
            if (strlen(*s) == len && memcmp(*s, scheme, len) == 0)
                return *a;
        }
    }
    return NULL;
}

bool place_is_same(const struct place *source, const struct place *sink)
{
    return strcmp(source->scheme, sink->scheme) == 0 && strcmp(source->address, sink->address) == 0;
}
