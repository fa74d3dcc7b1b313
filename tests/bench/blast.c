/* blast FILE LOOPS unix:PATH: sends the messages of a Frame Streams file LOOPS times over a unix socket
 * as fast as it takes them, with the full handshake, and waits for FINISH. Prints the messages sent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "capture.h"
#include "control.h"

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void send_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0)
            fail("write");
        data += n;
        len -= (size_t)n;
    }
}

static void send_control(int fd, enum control_type type)
{
    uint8_t frame[CONTROL_HEADER + CONTROL_MAX];
    send_all(fd, frame, control_write(type, frame));
}

static void receive_control(int fd)
{
    uint8_t octets[CONTROL_HEADER + CONTROL_MAX];
    size_t have = 0, want = CONTROL_HEADER;
    while (have < want) {
        ssize_t n = read(fd, octets + have, want - have);
        if (n <= 0)
            fail("no answer");
        have += (size_t)n;
        if (have == CONTROL_HEADER && want == CONTROL_HEADER)
            want += load_be32(octets + 4);
    }
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail(path);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    struct buffer file = {0}, frames = {0};
    if (!capture_load(argv[1], &file))
        return 1;
    unsigned long loops = strtoul(argv[2], NULL, 10), count = 0;
    struct reader r = reader_over(file.data, file.len);
    struct frame frame;
    while (capture_next(&r, &frame)) {
        buffer_put(&frames, frame.data - FRAME_HEADER, frame.len + FRAME_HEADER);
        count++;
    }
    int fd = connect_to(argv[3]);
    send_control(fd, CONTROL_READY);
    receive_control(fd);
    send_control(fd, CONTROL_START);
    for (unsigned long i = 0; i < loops; i++)
        send_all(fd, frames.data, frames.len);
    send_control(fd, CONTROL_STOP);
    receive_control(fd);
    printf("%lu\n", count * loops);
    return 0;
}
