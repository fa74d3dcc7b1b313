/* nng_bare pull URL FILE | nng_bare push URL MESSAGES: octets in 64 KiB messages over bare nng push and
 * pull, written to a file at the other end: what the bus costs without us. An empty message ends it. */
#include <nng/nng.h>

#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 64 * 1024 };

static void check(int rv, const char *what)
{
    if (rv == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
    exit(1);
}

static int pull(const char *url, const char *path)
{
    nng_socket socket;
    nng_msg *msg;
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    check(nng_pull0_open(&socket), "open");
    check(nng_listen(socket, url, NULL, 0), "listen");
    for (;;) {
        check(nng_recvmsg(socket, &msg, 0), "receive");
        size_t len = nng_msg_len(msg);
        if (len == 0)
            return 0;
        if (write(out, nng_msg_body(msg), len) != (ssize_t)len)
            return 1;
        nng_msg_free(msg);
    }
}

static int push(const char *url, unsigned long messages)
{
    static uint8_t octets[SIZE];
    nng_socket socket;
    nng_msg *msg;
    check(nng_push0_open(&socket), "open");
    check(nng_dial(socket, url, NULL, 0), "dial");
    for (unsigned long i = 0; i <= messages + 1; i++) {
        size_t len = i < messages ? SIZE : 0;
        check(nng_msg_alloc(&msg, len), "allocate");
        memcpy(nng_msg_body(msg), octets, len); /* a sender always has to put its octets there */
        if (nng_sendmsg(socket, msg, 0) != 0)
            return 0; /* the other end has what it wanted, and left */
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "pull"))
        return pull(argv[2], argv[3]);
    if (argc == 4 && !strcmp(argv[1], "push"))
        return push(argv[2], strtoul(argv[3], NULL, 10));
    return 2;
}
