/* tap_count FILE: how many messages and events of each type a Frame Streams file holds, and that each
 * can be read. */
#include "dnstap.pb-c.h"

#include <fstrm.h>
#include <stdbool.h>
#include <stdio.h>

static unsigned messages[32], events[32];

static bool count(const uint8_t *data, size_t len)
{
    Dnstap__Dnstap *d = dnstap__dnstap__unpack(NULL, len, data);
    bool good = true;
    if (d && d->message && d->message->type < 32)
        messages[d->message->type]++;
    else if (d && d->event && d->event->type < 32)
        events[d->event->type]++;
    else
        good = false;
    if (d)
        dnstap__dnstap__free_unpacked(d, NULL);
    return good;
}

static void print(const ProtobufCEnumDescriptor *names, const unsigned *counts)
{
    for (unsigned i = 0; i < 32; i++)
        if (counts[i] > 0)
            printf("%s %u\n", protobuf_c_enum_descriptor_get_value(names, (int)i)->name, counts[i]);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    struct fstrm_file_options *options = fstrm_file_options_init();
    fstrm_file_options_set_file_path(options, argv[1]);
    struct fstrm_reader *reader = fstrm_file_reader_init(options, NULL);
    fstrm_file_options_destroy(&options);
    const uint8_t *data;
    size_t len;
    fstrm_res result = fstrm_res_failure;
    while (reader && (result = fstrm_reader_read(reader, &data, &len)) == fstrm_res_success)
        if (!count(data, len))
            return 1;
    fstrm_reader_destroy(&reader);
    print(&dnstap__message__type__descriptor, messages);
    print(&dnstap__event__type__descriptor, events);
    return result == fstrm_res_stop ? 0 : 1;
}
