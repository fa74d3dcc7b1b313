#include "kafka_registry.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Where the topic's subject has its versions. NULL: out of memory. The caller frees it. */
static char *subject_url(const char *url, const char *topic)
{
    char *whole = NULL;
    size_t len = strlen(url);
    bool slash = len > 0 && url[len - 1] == '/';
    if (asprintf(&whole, "%s%ssubjects/%s-value/versions", url, slash ? "" : "/", topic) < 0)
        return NULL;
    return whole;
}

static CURL *make_request(const char *url, const char *auth, const char *body, struct curl_slist *headers,
                          struct buffer *answer)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a resolver that is silent does not hold up a close */
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
    if (auth)
        curl_easy_setopt(easy, CURLOPT_USERPWD, auth);
    return easy;
}

static CURLcode result_of(CURLM *multi)
{
    int left;
    CURLMsg *message = curl_multi_info_read(multi, &left);
    return message && message->msg == CURLMSG_DONE ? message->data.result : CURLE_RECV_ERROR;
}

/* As curl_easy_perform(), which nothing ends but its timeout. */
static CURLcode perform(CURL *easy, const struct waker *waker)
{
    struct curl_waitfd woken = {.fd = waker->fd, .events = CURL_WAIT_POLLIN};
    CURLM *multi = curl_multi_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    int running = 1;
    if (!multi || curl_multi_add_handle(multi, easy) != CURLM_OK) {
        curl_multi_cleanup(multi);
        return code;
    }
    while (running > 0 && !waker_woken(waker)) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            break;
        if (running > 0)
            curl_multi_poll(multi, &woken, 1, TIMEOUT_S * 1000, NULL);
    }
    code = running > 0 ? CURLE_ABORTED_BY_CALLBACK : result_of(multi);
    curl_multi_remove_handle(multi, easy);
    curl_multi_cleanup(multi);
    return code;
}

static bool ask(CURL *easy, const struct waker *waker, const struct buffer *answer, uint32_t *id, struct error *error)
{
    long status = 0;
    CURLcode code = perform(easy, waker);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK)
        return error_set(error, "the schema registry cannot be asked: %s", curl_easy_strerror(code));
    return read_answer(status, answer, id, error);
}

bool registry_register(const char *url, const char *auth, const char *topic, const struct waker *waker, uint32_t *id,
                       struct error *error)
{
    struct buffer answer = {0};
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/vnd.schemaregistry.v1+json");
    char *body = registration(), *whole = subject_url(url, topic);
    CURL *easy = body && headers && whole ? make_request(whole, auth, body, headers, &answer) : NULL;
    bool ok = easy ? ask(easy, waker, &answer, id, error)
                   : error_set(error, "out of memory for the schema registry");
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    free(body);
    free(whole);
    buffer_free(&answer);
    return ok;
}
