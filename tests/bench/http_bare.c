/* http_bare URL FILE LOOPS SIZE INFLIGHT [read]: posts the data frames of a Frame Streams file,
 * LOOPS times, in bodies of at most SIZE octets, INFLIGHT at once, by libcurl's multi interface and
 * nothing else: what HTTP costs without us. The bodies are made before the clock starts; with
 * `read`, each is read from the file when its turn comes, SIZE octets at a time wherever that cuts,
 * since whoever posts has to get the octets from somewhere. Prints the seconds that it took. */
#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"

enum { INFLIGHT_MAX = 256 };

static struct buffer octets; /* data frames, back to back, LOOPS times */
static struct buffer cuts;   /* size_t: where each body ends */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void cut(void)
{
    buffer_put(&cuts, &octets.len, sizeof octets.len);
}

static bool make_bodies(const char *path, long loops, size_t size)
{
    struct buffer file = {0};
    struct frame frame;
    size_t begun = 0;
    if (!capture_load(path, &file))
        return false;
    for (long i = 0; i < loops; i++) {
        struct reader r = reader_over(file.data, file.len);
        while (capture_next(&r, &frame)) {
            if (octets.len + FRAME_HEADER + frame.len - begun > size) {
                cut();
                begun = octets.len;
            }
            uint8_t header[FRAME_HEADER];
            store_be32(header, frame.len);
            buffer_put(&octets, header, sizeof header);
            buffer_put(&octets, frame.data, frame.len);
        }
    }
    cut();
    buffer_free(&file);
    return !octets.failed && !cuts.failed;
}

static int input = -1; /* with `read` */
static long loops_left;
static size_t read_size;

/* Reads the next body into the handle's own buffer. */
static bool read_body(CURL *easy)
{
    char *room = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &room);
    ssize_t len = read(input, room, read_size);
    if (len == 0 && --loops_left > 0) {
        lseek(input, 0, SEEK_SET);
        len = read(input, room, read_size);
    }
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, room);
    return len > 0;
}

/* Gives the handle the next body. False: there is none. */
static bool post(CURLM *multi, CURL *easy, size_t *next)
{
    if (input >= 0)
        return read_body(easy) && curl_multi_add_handle(multi, easy) == CURLM_OK;
    const size_t *ends = (const size_t *)(void *)cuts.data;
    if (*next == cuts.len / sizeof *ends)
        return false;
    size_t from = *next ? ends[*next - 1] : 0;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(ends[*next] - from));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, octets.data + from);
    ++*next;
    return curl_multi_add_handle(multi, easy) == CURLM_OK;
}

static CURL *new_handle(const char *url, struct curl_slist *headers)
{
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256 * 1024L); /* as ours */
    if (input >= 0)
        curl_easy_setopt(easy, CURLOPT_PRIVATE, malloc(read_size));
    return easy;
}

/* Posts all there is. False: a request failed. */
static bool post_all(CURLM *multi, CURL **handles, int inflight)
{
    size_t next = 0;
    int running = 0, left;
    for (int i = 0; i < inflight; i++)
        running += post(multi, handles[i], &next);
    while (running > 0) {
        int transfers;
        curl_multi_perform(multi, &transfers);
        for (CURLMsg *msg; (msg = curl_multi_info_read(multi, &left));) {
            CURL *easy = msg->easy_handle;
            if (msg->data.result != CURLE_OK)
                return false;
            curl_multi_remove_handle(multi, easy);
            if (!post(multi, easy, &next))
                running--;
        }
        if (running > 0)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    return true;
}

static bool run(const char *url, int inflight)
{
    CURL *handles[INFLIGHT_MAX];
    CURLM *multi = curl_multi_init();
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/x-dnstap-frames");
    headers = curl_slist_append(headers, "Expect:");
    for (int i = 0; i < inflight; i++)
        handles[i] = new_handle(url, headers);
    bool ok = post_all(multi, handles, inflight);
    for (int i = 0; i < inflight; i++) {
        char *room = NULL;
        curl_easy_getinfo(handles[i], CURLINFO_PRIVATE, &room);
        curl_easy_cleanup(handles[i]);
        free(room);
    }
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    return ok;
}

int main(int argc, char **argv)
{
    bool reads = argc == 7 && strcmp(argv[6], "read") == 0;
    if (argc < 6 || (!reads && !make_bodies(argv[2], atol(argv[3]), (size_t)atol(argv[4])))) {
        fprintf(stderr, "http_bare URL FILE LOOPS SIZE INFLIGHT [read]\n");
        return 1;
    }
    if (reads) {
        input = open(argv[2], O_RDONLY);
        loops_left = atol(argv[3]);
        read_size = (size_t)atol(argv[4]);
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int inflight = atoi(argv[5]);
    double start = now();
    bool ok = run(argv[1], inflight < INFLIGHT_MAX ? inflight : INFLIGHT_MAX);
    printf("%.6f\n", now() - start);
    buffer_free(&octets);
    buffer_free(&cuts);
    curl_global_cleanup();
    return !ok;
}
