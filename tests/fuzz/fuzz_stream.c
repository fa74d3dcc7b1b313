/* Any octets as a Frame Stream, in pieces that the first octet chooses. */
#include "fuzz.h"
#include "stream.h"

/* False: the stream is over. */
static bool feed(struct stream *stream, struct intake *intake, const uint8_t *data, size_t size)
{
    struct stream_window window;
    struct error error;
    while (size > 0) {
        if (!stream_window(stream, intake, &window, &error))
            return false;
        size_t n = size < window.len ? size : window.len;
        memcpy(window.at, data, n);
        data += n;
        size -= n;
        for (;; n = 0) {
            enum stream_result result = stream_received(stream, intake, n, 0, &error);
            size_t len;
            if (result == STREAM_BROKEN)
                return false;
            if (result == STREAM_MORE)
                break;
            if (result == STREAM_CONTROL) {
                enum control_type type;
                const uint8_t *control = stream_control(stream, &len);
                control_read(control, len, &type, &error);
            }
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct stream_budget budget = {.limit = 64 * 1024};
    struct intake *intake = intake_new("fuzz", WHEN_FULL_DROP, NULL);
    struct stream *stream = stream_new(4096, data[0] & 1, &budget);
    size_t piece = 1u + (data[0] >> 1) * 8u;
    for (size_t at = 1; at < size; at += piece)
        if (!feed(stream, intake, data + at, size - at < piece ? size - at : piece))
            break;
    stream_free(stream);
    must(budget.used == 0);
    intake_free(intake);
    return 0;
}
