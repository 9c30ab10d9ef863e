/* A client that forgets: loaded before OpenSSL, it takes the TLS session from a connection that wrk uses again,
 * so that its next handshake is a full one. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

int SSL_clear(void *ssl)
{
    int (*real)(void *) = (int (*)(void *))dlsym(RTLD_NEXT, "SSL_clear");
    int (*set_session)(void *, void *) = (int (*)(void *, void *))dlsym(RTLD_NEXT, "SSL_set_session");
    int result = real(ssl);
    set_session(ssl, NULL);
    return result;
}
