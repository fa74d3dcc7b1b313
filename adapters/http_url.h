/* URLs of HTTP servers, as libcurl reads them. */
#ifndef ADAPTERS_HTTP_URL_H
#define ADAPTERS_HTTP_URL_H

#include <curl/curl.h>

#include "error.h"

/* The caller frees it by curl_url_cleanup. NULL with the error, which does not show the URL: it may hold a password. */
CURLU *http_url_read(const char *text, struct error *error);

#endif
