#include "http_url.h"

#include <stdlib.h>
#include <string.h>

#include "host_port.h"

/* libcurl takes a port of 0, and says no more of a bad one than that it is bad. */
static bool check_port(CURLU *url, struct error *error)
{
    char *port = NULL;
    uint16_t number;
    if (curl_url_get(url, CURLUPART_PORT, &port, 0) != CURLUE_OK)
        return true; /* none is given: the scheme's own */
    bool ok = port_read(port, strlen(port), &number, error);
    curl_free(port);
    return ok;
}

static bool is_http(CURLU *url)
{
    char *scheme = NULL;
    bool ok = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    return ok;
}

CURLU *http_url_read(const char *text, struct error *error)
{
    CURLU *url = curl_url();
    CURLUcode code = url ? curl_url_set(url, CURLUPART_URL, text, 0) : CURLUE_OUT_OF_MEMORY;
    bool ok = code == CURLUE_OK && is_http(url);
    if (code == CURLUE_BAD_PORT_NUMBER)
        error_set(error, "invalid URL: a port is a number from 1 to %d", PORT_MAX);
    else if (code != CURLUE_OK)
        error_set(error, "invalid URL: %s; it looks like http://HOST:PORT/PATH", curl_url_strerror(code));
    else if (!ok)
        error_set(error, "invalid URL: it looks like http://HOST:PORT/PATH or https://HOST:PORT/PATH");
    if (ok && check_port(url, error))
        return url;
    curl_url_cleanup(url);
    return NULL;
}
