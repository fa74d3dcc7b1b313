#include "nng_tls.h"

#include <stdlib.h>
#include <string.h>

#include "nng.h"
#include "pem.h"
#include "secret.h"

static const char *const names[] = {"ca", "cert", "key", "key-password", "server-name"};

bool nng_is_tls(const struct place *place)
{
    return strcmp(place->scheme, "nng+tls") == 0;
}

static bool own_cert(nng_tls_config *config, const struct options *options, struct error *error)
{
    const char *cert = options_string(options, "cert"), *key = options_string(options, "key");
    char *password;
    if (!pem_password(options, &password, error))
        return false;
    char *cert_pem = pem_read("cert", cert, error);
    char *key_pem = cert_pem ? pem_read("key", key, error) : NULL;
    int rv = key_pem ? nng_tls_config_own_cert(config, cert_pem, key_pem, password) : 0;
    bool ok = key_pem && rv == 0;
    if (rv != 0)
        error_set(error, "%s and %s are no certificate and its key: %s", cert, key, nng_strerror(rv));
    pem_free(cert_pem);
    pem_free(key_pem);
    secret_free(password);
    return ok;
}

static bool trust(nng_tls_config *config, const char *ca, struct error *error)
{
    char *pem = pem_read("ca", ca, error);
    int rv = pem ? nng_tls_config_ca_chain(config, pem, NULL) : 0;
    pem_free(pem);
    if (rv != 0)
        error_set(error, "%s holds no certificates to trust: %s", ca, nng_strerror(rv));
    return pem && rv == 0;
}

/* The name that the listener's certificate must bear: as said, or HOST of HOST:PORT. */
static int expect_name(nng_tls_config *config, const struct place *place)
{
    const char *said = options_string(place->options, "server-name");
    if (said)
        return nng_tls_config_server_name(config, said);
    struct host_port at;
    struct error error;
    return nng_address(place, &at, &error) ? nng_tls_config_server_name(config, at.host) : NNG_EADDRINVAL;
}

static bool names_its_listener(const struct place *place)
{
    struct host_port at;
    struct error error;
    bool named = nng_address(place, &at, &error) && !at.is_address && at.host[0];
    return named || options_string(place->options, "server-name");
}

static bool fill_in(nng_tls_config *config, const struct place *place, bool listens, struct error *error)
{
    const char *ca = options_string(place->options, "ca");
    const char *cert = options_string(place->options, "cert");
    if (!pem_options_fit(place->options, error))
        return false;
    if (listens && !cert)
        return error_set(error, "a listener of nng+tls: needs cert= and key=");
    if (!listens && !ca)
        return error_set(error, "dialing nng+tls: needs ca=, the certificates to trust");
    if (!listens && !names_its_listener(place))
        return error_set(error, "dialing an address by nng+tls: needs server-name=, a name that the listener's certificate bears: "
                                "libnng looks for names there, not for addresses");
    if ((cert && !own_cert(config, place->options, error)) || (ca && !trust(config, ca, error)))
        return false;
    int rv = nng_tls_config_version(config, NNG_TLS_1_2, NNG_TLS_1_3);
    if (rv == NNG_ENOTSUP) /* a library without 1.3 */
        rv = nng_tls_config_version(config, NNG_TLS_1_2, NNG_TLS_1_2);
    if (rv == 0)
        rv = nng_tls_config_auth_mode(config, ca ? NNG_TLS_AUTH_MODE_REQUIRED : NNG_TLS_AUTH_MODE_NONE);
    if (rv == 0 && !listens)
        rv = expect_name(config, place);
    return rv == 0 || error_set(error, "cannot set up TLS: %s", nng_strerror(rv));
}

nng_tls_config *nng_tls_config_for(const struct place *place, bool listens, struct error *error)
{
    nng_tls_config *config;
    int rv = nng_tls_config_alloc(&config, listens ? NNG_TLS_MODE_SERVER : NNG_TLS_MODE_CLIENT);
    if (rv != 0) {
        error_set(error, "this libnng has no TLS: %s", nng_strerror(rv));
        return NULL;
    }
    if (fill_in(config, place, listens, error))
        return config;
    nng_tls_config_free(config);
    return NULL;
}

bool nng_tls_check(const struct place *place, bool listens, struct error *error)
{
    for (size_t i = 0; !nng_is_tls(place) && i < sizeof names / sizeof names[0]; i++) {
        if (options_string(place->options, names[i]))
            return error_set(error, "option '%s' is for nng+tls:", names[i]);
    }
    if (!nng_is_tls(place))
        return true;
    nng_tls_config *config = nng_tls_config_for(place, listens, error);
    if (config)
        nng_tls_config_free(config);
    return config != NULL;
}
