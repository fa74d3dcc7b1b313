#include "http_body.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_document.h"
#include "json.h"

enum {
    ITEM_OCTETS = 256 /* the most that an item adds around its record: DOCUMENT_INDEX_MAX, a time */
};

const char body_kinds[] = "ndjson|array|elastic|loki|splunk|frames";

static const struct body_kind kinds[] = {
    {.name = "ndjson",
     .content_type = "application/x-ndjson",
     .format = "json",
     .formats = "json|cof|text|yaml",
     .authorization = "Bearer",
     .as_is = true},
    {.name = "array",
     .content_type = "application/json",
     .format = "json",
     .formats = "json|cof",
     .authorization = "Bearer",
     .open = "[",
     .between = ",",
     .close = "]"},
    {.name = "elastic",
     .content_type = "application/x-ndjson",
     .format = "json",
     .formats = "json|cof",
     .path = "/_bulk",
     .authorization = "Bearer",
     .itemised = true,
     .before = "{\"create\":{}}\n",
     .after = "\n"},
    {.name = "loki",
     .content_type = "application/json",
     .format = "json",
     .formats = "json|cof|text|yaml",
     .path = "/loki/api/v1/push",
     .authorization = "Bearer",
     .open = "",
     .between = ",",
     .close = "]}]}",
     .quoted = true,
     .timed = true},
    {.name = "splunk",
     .content_type = "application/json",
     .format = "json",
     .formats = "json|cof",
     .path = "/services/collector/event",
     .authorization = "Splunk",
     .before = "{\"event\":",
     .after = "}\n"},
    {.name = "frames",
     .content_type = "application/x-dnstap-frames",
     .format = "dnstap",
     .formats = "dnstap",
     .authorization = "Bearer",
     .as_is = true},
};

const struct body_kind *body_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
}

const char *body_content_type(const struct body_kind *kind, const char *format)
{
    if (!kind->as_is || strcmp(format, kind->format) == 0)
        return kind->content_type;
    if (strcmp(format, "cof") == 0)
        return kind->content_type;
    return strcmp(format, "yaml") == 0 ? "application/yaml" : "text/plain; charset=utf-8";
}

static bool carries(const struct body_kind *kind, const char *format)
{
    const char *at = strstr(kind->formats, format);
    char behind = at ? at[strlen(format)] : 'x';
    return behind == '\0' || behind == '|';
}

static bool valid_label(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalpha((unsigned char)name[i]) && name[i] != '_' &&
            (i == 0 || !isdigit((unsigned char)name[i])))
            return false;
    }
    return len > 0;
}

/* One label, NAME=VALUE. */
static bool add_label(char *label, struct buffer *out, struct error *error)
{
    size_t len = strcspn(label, "=");
    if (!label[len] || !valid_label(label, len))
        return error_set(error, "label=%s: expected NAME=VALUE", label);
    label[len] = '\0';
    json_text(out, label, label + len + 1);
    return true;
}

/* Loki: what stands before the first value, the labels inside. */
static bool open_loki(struct body *body, const char *labels, const char *hop, struct error *error)
{
    struct buffer text = {0};
    char *copy = strdup(labels ? labels : ""), *rest = copy;
    bool ok = copy != NULL;
    json_open(&text, NULL, '{');
    json_open(&text, "streams", '[');
    json_open(&text, NULL, '{');
    json_open(&text, "stream", '{');
    if (!labels) {
        json_text(&text, "job", "dnstap");
        json_text(&text, "hop", hop);
    }
    for (char *label; ok && labels && (label = strsep(&rest, "\n"));)
        ok = add_label(label, &text, error);
    json_close(&text, '}');
    json_open(&text, "values", '[');
    buffer_put_char(&text, '\0');
    free(copy);
    if (!ok || text.failed) {
        buffer_free(&text);
        return ok ? error_set(error, "out of memory") : false;
    }
    body->open = (char *)text.data;
    return true;
}

bool body_init(struct body *body, const struct options *options, const char *hop,
               struct error *error)
{
    *body = (struct body){.kind = body_find(options_string(options, "body"))};
    const char *index = options_string(options, "index"),
               *labels = options_string(options, "label");
    const char *format = options_string(options, "format");
    if (!carries(body->kind, format))
        return error_set(error, "body=%s carries format=%s, not %s", body->kind->name,
                         body->kind->formats, format);
    if (index && !body->kind->itemised)
        return error_set(error, "index= goes with body=elastic");
    if (labels && !body->kind->timed)
        return error_set(error, "label= goes with body=loki");
    if (body->kind->timed)
        return open_loki(body, labels, hop, error);
    body->index = index;
    return !index || document_check_index(index, error);
}

void body_free(struct body *body)
{
    free(body->open);
}

static void put(struct buffer *out, const char *text)
{
    if (text)
        buffer_put_string(out, text);
}

static void put_escape(struct buffer *out, uint8_t octet)
{
    static const char letters[] = {
        ['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char escape[8];
    if (octet < sizeof letters && letters[octet])
        snprintf(escape, sizeof escape, "\\%c", letters[octet]);
    else
        snprintf(escape, sizeof escape, "\\u%04x", octet);
    buffer_put_string(out, escape);
}

/* Our encoders write UTF-8, so that only these need an escape. */
static void put_quoted(struct buffer *out, const uint8_t *text, size_t len)
{
    size_t done = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] >= 0x20 && text[i] != '"' && text[i] != '\\')
            continue;
        buffer_put(out, text + done, i - done);
        put_escape(out, text[i]);
        done = i + 1;
    }
    buffer_put(out, text + done, len - done);
}

/* Where the document goes, and its time under the name that data streams ask for. A document that has no time, or
 * one that cannot be yet, goes where the time of its request says. */
static const uint8_t *put_elastic_head(const struct body *body, const struct load *load,
                                       const uint8_t *record, size_t len, struct buffer *out)
{
    const struct document_time time = document_time_of(record, len);
    const int64_t begun = (int64_t)(load->begun_ns / 1000000000), day = 24 * 3600;
    const bool sound = *time.text && time.second <= begun + day;
    if (body->index) {
        put(out, "{\"create\":{\"_index\":\"");
        document_put_index(body->index, sound ? time.second : begun, out);
        put(out, "\"}}\n");
    } else {
        put(out, body->kind->before);
    }
    if (!*time.text)
        return record;
    put(out, "{\"@timestamp\":\"");
    put(out, time.text);
    put(out, "\",");
    return record + 1; /* behind its brace; it has a key, with the time */
}

static void put_record(const struct body *body, struct load *load, uint32_t i, struct buffer *out)
{
    const struct body_kind *kind = body->kind;
    size_t len;
    const uint8_t *record = load_record(load, i, &len);
    if (!kind->as_is && len > 0 && record[len - 1] == '\n')
        len--;
    if (kind->timed) { /* each its own, so that their order stays */
        char time[48];
        snprintf(time, sizeof time, "[\"%" PRIu64 "\",\"", load->begun_ns + i);
        buffer_put_string(out, time);
    }
    if (kind->itemised) {
        const uint8_t *rest = put_elastic_head(body, load, record, len, out);
        len -= (size_t)(rest - record);
        record = rest;
    } else {
        put(out, kind->before);
    }
    if (kind->quoted)
        put_quoted(out, record, len);
    else
        buffer_put(out, record, len);
    put(out, kind->timed ? "\"]" : kind->after);
}

const uint8_t *body_make(const struct body *body, struct load *load, struct buffer *room,
                         size_t *len)
{
    const struct body_kind *kind = body->kind;
    if (kind->as_is && load_open(load) == load->to - load->from) {
        *len = load_octets(load);
        return load_window(load);
    }
    bool first = true;
    buffer_clear(room);
    put(room, body->open ? body->open : kind->open);
    for (uint32_t i = load->from; i < load->to; i++) {
        if (load_is_settled(load, i))
            continue;
        if (!first)
            put(room, kind->between);
        first = false;
        put_record(body, load, i, room);
    }
    put(room, kind->close);
    *len = room->len;
    return room->failed ? NULL : room->data;
}

uint64_t body_bound(const struct body_kind *kind, uint64_t size, uint64_t count)
{
    return (kind->quoted ? 6 * size : size) + ITEM_OCTETS * (count + 4);
}
