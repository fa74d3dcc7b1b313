#include "kafka_registry.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "dnstap_schema.h"

enum { ANSWER_MAX = 64 * 1024, TIMEOUT_S = 10 };

static size_t take_answer(char *data, size_t size, size_t n, void *arg)
{
    struct buffer *answer = arg;
    (void)size; /* always 1 */
    if (answer->len + n > ANSWER_MAX)
        return 0;
    buffer_put(answer, data, n);
    return answer->failed ? 0 : n;
}

/* {"schemaType":"PROTOBUF","schema":"..."}; the caller frees it. NULL: out of memory. */
static char *registration(void)
{
    json_t *body = json_pack("{s:s, s:s}", "schemaType", "PROTOBUF", "schema", dnstap_schema);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}

static bool read_answer(long status, const struct buffer *answer, uint32_t *id, struct error *error)
{
    json_t *root = json_loadb((const char *)answer->data, answer->len, 0, NULL);
    json_t *number = json_object_get(root, "id");
    const char *message = json_string_value(json_object_get(root, "message"));
    bool ok = status == 200 && json_is_integer(number) && json_integer_value(number) >= 0 &&
              json_integer_value(number) <= UINT32_MAX;
    if (ok)
        *id = (uint32_t)json_integer_value(number);
    else
        error_set(error, "the schema registry answered %ld: %.200s", status,
                  message ? message : "no id in its answer");
    json_decref(root);
    return ok;
}

static CURL *make_request(const char *url, const char *auth, const char *topic, const char *body,
                          struct curl_slist *headers, struct buffer *answer)
{
    char whole[1024];
    CURL *easy = curl_easy_init();
    size_t len = strlen(url);
    if (!easy)
        return NULL;
    snprintf(whole, sizeof whole, "%s%ssubjects/%s-value/versions", url,
             len > 0 && url[len - 1] == '/' ? "" : "/", topic);
    curl_easy_setopt(easy, CURLOPT_URL, whole);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
    if (auth)
        curl_easy_setopt(easy, CURLOPT_USERPWD, auth);
    return easy;
}

bool registry_register(const char *url, const char *auth, const char *topic, uint32_t *id,
                       struct error *error)
{
    struct buffer answer = {0};
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/vnd.schemaregistry.v1+json");
    char *body = registration();
    CURL *easy = body && headers ? make_request(url, auth, topic, body, headers, &answer) : NULL;
    bool ok = false;
    if (!easy) {
        error_set(error, "out of memory for the schema registry");
    } else {
        long status = 0;
        CURLcode code = curl_easy_perform(easy);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (code != CURLE_OK)
            error_set(error, "the schema registry cannot be asked: %s", curl_easy_strerror(code));
        else
            ok = read_answer(status, &answer, id, error);
        curl_easy_cleanup(easy);
    }
    curl_slist_free_all(headers);
    free(body);
    buffer_free(&answer);
    return ok;
}
