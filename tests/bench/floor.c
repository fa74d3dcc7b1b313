/* floor SOCKET FILE: the floor under every collector: one connection, 64 KiB read() and write() to a
 * file, looking at nothing but the handshake before and the STOP at the end. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"

enum { SIZE = 64 * 1024 };

static void answer(int fd, enum control_type type)
{
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    size_t len = control_write(type, frame);
    if (write(fd, frame, len) != (ssize_t)len)
        exit(1);
}

int main(int argc, char **argv)
{
    static uint8_t buffer[SIZE];
    uint8_t stop[CONTROL_HEADER + CONTROL_MAX];
    if (argc != 3)
        return 2;
    size_t stop_len = control_write(CONTROL_STOP, stop);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    int out = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0)
        return 1;
    int in = accept(listener, NULL, NULL);
    if (read(in, buffer, SIZE) <= 0)
        return 1;
    answer(in, CONTROL_ACCEPT);
    for (;;) {
        ssize_t n = read(in, buffer, SIZE);
        if (n <= 0 || write(out, buffer, (size_t)n) != n)
            return n < 0;
        if ((size_t)n >= stop_len && !memcmp(buffer + n - stop_len, stop, stop_len))
            answer(in, CONTROL_FINISH);
    }
}
