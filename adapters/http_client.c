#include "http_client.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http_url.h"
#include "secret.h"

enum {
    CONNECT_MAX_MS = 10000,
    SHORT_VALUE = 8,            /* octets of a header's value */
    UPLOAD_BUFFER = 256 * 1024, /* octets handed to the kernel at a time */
};

/* Keeps a copy of a secret, to know it where it must not be shown. */
static bool keep_secret(struct http_client *c, const char *secret, struct error *error)
{
    if (c->secret_count == HTTP_SECRETS_MAX)
        return error_set(error, "more than %d secrets", HTTP_SECRETS_MAX);
    c->secrets[c->secret_count] = strdup(secret);
    return c->secrets[c->secret_count++] || error_set(error, "out of memory");
}

static bool add_header(struct http_client *c, const char *name, const char *before,
                       const char *value, struct error *error)
{
    char *line = NULL;
    if (asprintf(&line, "%s: %s%s", name, before, value) < 0)
        return error_set(error, "out of memory");
    struct curl_slist *grown = curl_slist_append(c->headers, line);
    secret_free(line);
    if (!grown)
        return error_set(error, "out of memory");
    c->headers = grown;
    return true;
}

static bool is_token(const char *name)
{
    for (const char *at = name; *at; at++) {
        if (!isalnum((unsigned char)*at) && !strchr("!#$%&'*+-.^_`|~", *at))
            return false;
    }
    return *name != '\0';
}

/* Headers that the request has, or that change what its body means. */
static bool is_ours(const char *name, bool authorized)
{
    static const char *const ours[] = {"Content-Type",      "Content-Length", "Content-Encoding", "Host",
                                       "Transfer-Encoding", "Connection",     "Keep-Alive",       "Expect",
                                       "TE",                "Trailer",        "Upgrade",          "Proxy-Connection",
                                       "Proxy-Authorization"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (strcasecmp(ours[i], name) == 0)
            return true;
    }
    return authorized && strcasecmp(name, "Authorization") == 0;
}

static bool check_header_name(const char *name, bool authorized, struct error *error)
{
    if (!is_token(name))
        return error_set(error, "'%.60s' is not the name of a header", name);
    return !is_ours(name, authorized) ||
           error_set(error, "header=%s: the request has this header already%s", name,
                     strcasecmp(name, "Authorization") == 0 ? ", from bearer= or user=" : "");
}

/* header=NAME:VALUE */
static bool read_header(struct http_client *c, char *text, struct error *error)
{
    char *value = strchr(text, ':');
    if (!value)
        return error_set(error, "header= takes NAME:VALUE");
    *value++ = '\0';
    if (!check_header_name(text, c->user || options_string(c->options, "bearer"), error))
        return false;
    value += strspn(value, " ");
    char *secret = secret_read(value, error);
    if (!secret)
        return error_prefix(error, text);
    /* a short value that stands in the open is hardly secret, and starring it out spoils what is
     * said */
    bool plain = strlen(secret) < SHORT_VALUE && secret_shown(value) != value;
    bool ok = (plain || keep_secret(c, secret, error)) && add_header(c, text, "", secret, error);
    secret_free(secret);
    return ok;
}

static bool read_headers(struct http_client *c, struct error *error)
{
    const char *text = options_string(c->options, "header");
    char *copy = text ? strdup(text) : NULL, *rest = copy;
    bool ok = !text || copy || error_set(error, "out of memory");
    while (ok && rest)
        ok = read_header(c, strsep(&rest, "\n"), error);
    if (copy)
        explicit_bzero(copy, strlen(text));
    free(copy);
    return ok;
}

static bool read_bearer(struct http_client *c, const char *scheme, struct error *error)
{
    const char *text = options_string(c->options, "bearer");
    if (!text)
        return true;
    char *token = secret_read(text, error), before[32];
    if (!token)
        return error_prefix(error, "bearer");
    snprintf(before, sizeof before, "%s ", scheme);
    bool ok = keep_secret(c, token, error) && add_header(c, "Authorization", before, token, error);
    secret_free(token);
    return ok;
}

static bool read_user(struct http_client *c, struct error *error)
{
    const char *user = options_string(c->options, "user");
    const char *password = options_string(c->options, "password");
    if (user && !(c->user = strdup(user)))
        return error_set(error, "out of memory");
    if (password && !c->user)
        return error_set(error, "password= needs user=");
    if (password) {
        secret_free(c->password);
        c->password = secret_read(password, error);
        if (!c->password)
            return error_prefix(error, "password");
    }
    if (c->user && options_string(c->options, "bearer"))
        return error_set(error, "bearer= and user= exclude each other");
    return !c->password || keep_secret(c, c->password, error);
}

/* Takes a part out of the URL: a copy that the caller frees by secret_free, or NULL. */
static char *take_part(CURLU *url, CURLUPart part)
{
    char *text = NULL, *copy = NULL;
    if (curl_url_get(url, part, &text, CURLU_URLDECODE) == CURLUE_OK)
        copy = strdup(text);
    curl_free(text);
    curl_url_set(url, part, NULL, 0);
    return copy;
}

/* A URL without a path gets the one where servers of this kind listen. */
static bool add_path(CURLU *url, const struct body_kind *kind)
{
    char *path = NULL, *query = NULL;
    bool ok = true;
    curl_url_get(url, CURLUPART_PATH, &path, 0);
    curl_url_get(url, CURLUPART_QUERY, &query, 0);
    if (kind->path && (!path || !strcmp(path, "/")))
        ok = curl_url_set(url, CURLUPART_PATH, kind->path, 0) == CURLUE_OK;
    if (kind->itemised && !query) /* of the answer we want no more than this */
        ok = ok && curl_url_set(
                       url, CURLUPART_QUERY,
                       "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason",
                       0) == CURLUE_OK;
    curl_free(path);
    curl_free(query);
    return ok;
}

static bool read_url(struct http_client *c, const struct place *place, const struct body_kind *kind,
                     struct error *error)
{
    char *text = NULL, *whole = NULL;
    CURLU *url = NULL;
    if (strncmp(place->address, "//", 2) != 0)
        return error_set(error, "invalid URL: it looks like http://HOST:PORT/PATH");
    if (asprintf(&text, "%s:%s", place->scheme, place->address) > 0)
        url = http_url_read(text, error);
    else
        error_set(error, "out of memory");
    secret_free(text);
    bool url_was_read = url != NULL, ok = url_was_read;
    if (ok) {
        c->user = take_part(url, CURLUPART_USER);
        c->password = take_part(url, CURLUPART_PASSWORD);
        ok = add_path(url, kind) && curl_url_get(url, CURLUPART_URL, &whole, 0) == CURLUE_OK &&
             (c->url = strdup(whole)) != NULL;
    }
    curl_free(whole);
    curl_url_cleanup(url);
    return ok || (url_was_read && error_set(error, "out of memory"));
}

bool http_client_init(struct http_client *c, const struct place *place,
                      const struct body_kind *kind, struct error *error)
{
    *c = (struct http_client){.options = place->options};
    const char *compress = options_string(place->options, "compress");
    const char *type = body_content_type(kind, options_string(place->options, "format"));
    bool packed = strcmp(compress, "no") != 0;
    return read_url(c, place, kind, error) && http_tls_init(&c->tls, place->options, error) &&
           add_header(c, "Content-Type", "", type, error) &&
           (!packed || add_header(c, "Content-Encoding", "", compress, error)) &&
           /* no waiting for a 100: a server that will not have it says so, and we stop sending */
           add_header(c, "Expect", "", "", error) && read_bearer(c, kind->authorization, error) &&
           read_user(c, error) && read_headers(c, error);
}

void http_client_free(struct http_client *c)
{
    for (struct curl_slist *header = c->headers; header; header = header->next)
        explicit_bzero(header->data, strlen(header->data));
    curl_slist_free_all(c->headers);
    for (unsigned i = 0; i < c->secret_count; i++)
        secret_free(c->secrets[i]);
    secret_free(c->password);
    http_tls_free(&c->tls);
    free(c->user);
    free(c->url);
}

static long connect_timeout(long timeout)
{
    return timeout < CONNECT_MAX_MS ? timeout : CONNECT_MAX_MS;
}

CURL *http_client_handle(const struct http_client *c)
{
    CURL *easy = curl_easy_init();
    long timeout = (long)options_number(c->options, "timeout");
    if (!easy)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_URL, c->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "dnstap-bridge");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L); /* further requests share an HTTP/2 connection */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a resolver that is silent does not hold up a close */
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout(timeout));
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
    if (c->user) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, c->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, c->password ? c->password : "");
    }
    return easy;
}

static void star_out(char *text, size_t len, const char *secret)
{
    size_t n = strlen(secret);
    for (char *at = text; n > 0 && (at = memmem(at, len - (size_t)(at - text), secret, n)); at += n)
        memset(at, '*', n);
}

void http_client_excerpt(const struct http_client *c, const void *text, size_t len, char *out,
                         size_t room)
{
    char seen[1024]; /* more than is shown, so that a secret at the edge is still known */
    len = len < sizeof seen ? len : sizeof seen;
    memcpy(seen, text, len);
    for (unsigned i = 0; i < c->secret_count; i++)
        star_out(seen, len, c->secrets[i]);
    len = len < room - 1 ? len : room - 1;
    for (size_t i = 0; i < len; i++)
        out[i] = isprint((unsigned char)seen[i]) ? seen[i] : ' ';
    while (len > 0 && out[len - 1] == ' ')
        len--;
    out[len] = '\0';
}
