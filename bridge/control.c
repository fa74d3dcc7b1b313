#include "control.h"

#include <fstrm.h>
#include <string.h>

const char *control_name(enum control_type type)
{
    return fstrm_control_type_to_str((fstrm_control_type)type);
}

static bool match_content_type(struct fstrm_control *control, enum control_type type,
                               struct error *error)
{
    const char *ours = DNSTAP_CONTENT_TYPE;
    if (type == CONTROL_STOP || type == CONTROL_FINISH)
        return true;
    if (fstrm_control_match_field_content_type(control, (const uint8_t *)ours, strlen(ours)) ==
        fstrm_res_success)
        return true;
    const uint8_t *theirs = NULL;
    size_t len = 0;
    fstrm_control_get_field_content_type(control, 0, &theirs, &len);
    return error_set(error, "content type is \"%.*s\", not \"%s\"", len < 100 ? (int)len : 100,
                     theirs ? (const char *)theirs : "", ours);
}

bool control_read(const uint8_t *payload, size_t len, enum control_type *type, struct error *error)
{
    struct fstrm_control *control = fstrm_control_init();
    fstrm_control_type found;
    bool ok = false;
    if (fstrm_control_decode(control, payload, len, 0) != fstrm_res_success ||
        fstrm_control_get_type(control, &found) != fstrm_res_success) {
        error_set(error, "garbled control frame of %zu octets", len);
    } else {
        *type = (enum control_type)found;
        ok = match_content_type(control, *type, error);
    }
    fstrm_control_destroy(&control);
    return ok;
}

size_t control_write(enum control_type type, uint8_t *out)
{
    const char *ours = DNSTAP_CONTENT_TYPE;
    size_t len = CONTROL_HEADER + CONTROL_MAX;
    struct fstrm_control *control = fstrm_control_init();
    fstrm_res res = fstrm_control_set_type(control, (fstrm_control_type)type);
    if (res == fstrm_res_success && type != CONTROL_STOP && type != CONTROL_FINISH)
        res = fstrm_control_add_field_content_type(control, (const uint8_t *)ours, strlen(ours));
    if (res == fstrm_res_success)
        res = fstrm_control_encode(control, out, &len, FSTRM_CONTROL_FLAG_WITH_HEADER);
    fstrm_control_destroy(&control);
    return res == fstrm_res_success ? len : 0;
}
