#include "parcel.h"

#include "frame.h"

uint32_t parcel_whole(const struct parcel *parcel, size_t octets, size_t *end)
{
    uint32_t count = 0;
    *end = 0;
    if (octets >= parcel->len) {
        *end = parcel->len;
        return parcel->count;
    }
    if (parcel->ends) {
        while (count < parcel->count && parcel->ends[count] <= octets)
            *end = parcel->ends[count++];
        return count;
    }
    struct reader r = reader_over(parcel->data, octets);
    struct frame frame;
    while (frame_next(&r, &frame)) {
        *end = (size_t)(frame.data + frame.len - parcel->data);
        count++;
    }
    return count;
}
