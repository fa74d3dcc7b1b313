/* Takes NMSG datagrams from a UDP socket: containers of base:dnstap, whole, compressed or in
 * fragments. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"
#include "log.h"
#include "nmsg.h"
#include "nmsg_links.h"
#include "nmsg/assembly.h"
#include "waker.h"

enum {
    DATAGRAMS = 32, /* received at once */
    DATAGRAM_MAX = 65536,
};

struct source {
    const struct place *place;
    struct waker waker;
    int fd;
    uint32_t frame_max;
    uint8_t *memory; /* DATAGRAMS of DATAGRAM_MAX */
    struct sockaddr_storage from[DATAGRAMS];
    struct buffer scratch;
    struct nmsg_assembly *assembly;
    struct nmsg_links links;
    struct envelope envelope;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool join_group(const struct source *s, const struct address *address, struct error *error)
{
    unsigned interface;
    struct group_req request = {.gr_group = address->storage};
    if (!nmsg_interface(s->place->options, &interface, error))
        return false;
    request.gr_interface = interface;
    int level = address->storage.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    return setsockopt(s->fd, level, MCAST_JOIN_GROUP, &request, sizeof request) == 0 ||
           error_set(error, "cannot join the group: %s", strerror(errno));
}

/* No host in particular: the first of the addresses that the system offers is all of IPv4. */
static bool is_any_host(const struct place *place)
{
    struct host_port at;
    struct error error;
    return host_port_read(place->address, strlen(place->address), &at, &error) && !at.host[0];
}

static bool open_socket(struct source *s, struct error *error)
{
    struct addresses found;
    int size = (int)options_number(s->place->options, "receive-buffer");
    int one = 1;
    if (address_find(s->place, true, NULL, LISTEN_RESOLVE_MS, &found, error) != RESOLVED)
        return false;
    struct address address = found.list[0];
    if (found.count > 1 && !is_any_host(s->place))
        return error_set(error, "the name has %u addresses, and datagrams are received on one: name the address", found.count);
    s->fd = socket(address.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return error_set(error, "cannot open a socket: %s", strerror(errno));
    /* the kernel may give less, or more where we may ask so; neither failing matters */
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    bool group = nmsg_is_multicast(&address);
    if (group) /* several may listen to a group */
        setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s->fd, (struct sockaddr *)&address.storage, address.len) < 0)
        return error_set(error, "cannot listen: %s", strerror(errno));
    return !group || join_group(s, &address, error);
}

static void nmsg_source_free(struct source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    waker_close(&s->waker);
    nmsg_assembly_free(s->assembly);
    buffer_free(&s->scratch);
    free(s->memory);
    free(s);
}

static struct source *nmsg_source_open(const struct place *place, struct error *error)
{
    struct source *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(error, "out of memory");
        return NULL;
    }
    s->place = place;
    s->fd = s->waker.fd = -1;
    s->frame_max = (uint32_t)options_number(place->options, "max-frame");
    s->memory = malloc((size_t)DATAGRAMS * DATAGRAM_MAX);
    s->assembly = nmsg_assembly_new(options_number(place->options, "fragments"),
                                    options_number(place->options, "fragment-age"));
    if (!s->memory || !s->assembly)
        error_set(error, "out of memory");
    else if (!waker_init(&s->waker))
        error_set(error, "no descriptor left: %s", strerror(errno));
    else if (open_socket(s, error))
        return s;
    nmsg_source_free(s);
    return NULL;
}

static void refuse(struct source *s, struct intake *intake, const char *why)
{
    static struct log_limit limit;
    log_limited(&limit, LOG_WARN, "source %s: refused: %s", s->place->url, why);
    intake_refuse(intake, 1);
}

static void take_payload(struct source *s, struct intake *intake, const struct nmsg_payload *p)
{
    size_t want = FRAME_HEADER + (size_t)p->octets.len;
    size_t have;
    if (p->vendor != NMSG_VENDOR_BASE || p->type != NMSG_TYPE_DNSTAP || p->octets.len == 0) {
        refuse(s, intake, "a payload that is not base:dnstap");
        return;
    }
    if (p->octets.len > s->frame_max || want > BATCH_LIMIT) {
        struct batch *batch = p->octets.len <= s->frame_max ? batch_alloc((uint32_t)want) : NULL;
        if (!batch) {
            refuse(s, intake, "a message longer than max-frame, or out of memory");
            return;
        }
        uint8_t *data = (uint8_t *)(uintptr_t)batch->data; /* ours until it is shared */
        store_be32(data, p->octets.len);
        memcpy(data + FRAME_HEADER, p->octets.data, p->octets.len);
        batch->count = 1;
        intake_flush(intake);
        intake_offer(intake, batch);
        return;
    }
    uint8_t *to = intake_space(intake, want, &have);
    if (!to) {
        refuse(s, intake, "out of memory");
        return;
    }
    store_be32(to, p->octets.len);
    memcpy(to + FRAME_HEADER, p->octets.data, p->octets.len);
    intake_commit(intake, want, 1);
}

_Static_assert(sizeof((struct nmsg_link *)0)->name <= HOP_NAME_MAX + 1, "a link's name is a hop's");

/* The sequence is the link's: containers stand for the messages that envelopes number. */
static void note_sequence(struct source *s, struct intake *intake, const struct sockaddr_storage *from,
                          const struct nmsg_container *container)
{
    static struct log_limit limit;
    const struct nmsg_link *link;
    uint64_t number;
    if (!nmsg_links_note(&s->links, from, container->sequence_id, container->sequence, now_ms(), &link, &number)) {
        log_limited(&limit, LOG_INFO, "source %s: too many senders, or one that has just begun: gaps in its numbers are not judged",
                    s->place->url);
        return;
    }
    s->envelope = (struct envelope){.sequence = number, .count = 1, .hops = 1};
    memcpy(s->envelope.path[0].hop, link->name, sizeof link->name);
    s->envelope.path[0].instance = link->instance;
    upstream_note(intake_upstream(intake), &s->envelope);
}

static void take_container(struct source *s, struct intake *intake, uint8_t flags,
                           struct octets body, const struct sockaddr_storage *from)
{
    struct octets nmsg;
    struct nmsg_container container;
    struct nmsg_cursor cursor = {0};
    struct nmsg_payload payload;
    if (!nmsg_unpack(flags, body, &s->scratch, &nmsg) || !nmsg_container_read(nmsg, &container)) {
        refuse(s, intake, "a broken container");
        return;
    }
    if (container.has_sequence)
        note_sequence(s, intake, from, &container);
    for (enum nmsg_next next;
         (next = nmsg_payload_next(&container, &cursor, &payload)) != NMSG_END;) {
        if (next == NMSG_BAD_CRC)
            refuse(s, intake, "a payload whose CRC does not match");
        else
            take_payload(s, intake, &payload);
    }
}

static void take_fragment(struct source *s, struct intake *intake, struct nmsg_datagram *datagram,
                          const struct sockaddr_storage *from)
{
    struct nmsg_fragment fragment;
    struct octets whole;
    if (!nmsg_fragment_read(datagram->body, &fragment)) {
        refuse(s, intake, "a broken fragment");
        return;
    }
    const uint64_t sender = nmsg_address_hash(from);
    switch (nmsg_assembly_put(s->assembly, sender, now_ms(), &fragment, &datagram->flags, &whole)) {
    case ASSEMBLED_WHOLE:
        take_container(s, intake, datagram->flags, whole, from);
        break;
    case ASSEMBLED_BROKEN:
        refuse(s, intake, "fragments that do not fit together");
        break;
    case ASSEMBLED_NOT_YET:
        break;
    }
}

static void take_datagram(struct source *s, struct intake *intake, struct octets octets,
                          const struct sockaddr_storage *from)
{
    struct nmsg_datagram datagram;
    if (!nmsg_datagram_read(octets, &datagram))
        refuse(s, intake, "a datagram that is not NMSG");
    else if (datagram.flags & NMSG_FLAG_FRAGMENT)
        take_fragment(s, intake, &datagram, from);
    else
        take_container(s, intake, datagram.flags, datagram.body, from);
}

/* A container that was given up and has a sequence shows as a gap; so that one without does not
 * vanish, a broken one is counted for each. */
static void note_given_up(struct source *s, struct intake *intake)
{
    for (uint64_t n = nmsg_assembly_given_up(s->assembly, now_ms()); n > 0; n--)
        refuse(s, intake, "fragments whose rest never came");
}

/* What the socket holds; false when it holds no more. */
static bool receive(struct source *s, struct intake *intake)
{
    struct mmsghdr messages[DATAGRAMS];
    struct iovec pieces[DATAGRAMS];
    for (int i = 0; i < DATAGRAMS; i++) {
        pieces[i] = (struct iovec){s->memory + (size_t)i * DATAGRAM_MAX, DATAGRAM_MAX};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i],
                                                   .msg_iovlen = 1,
                                                   .msg_name = &s->from[i],
                                                   .msg_namelen = sizeof s->from[i]}};
    }
    int n = recvmmsg(s->fd, messages, DATAGRAMS, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        struct octets octets = {pieces[i].iov_base, messages[i].msg_len};
        take_datagram(s, intake, octets, &s->from[i]);
    }
    return n == DATAGRAMS;
}

static void nmsg_source_run(struct source *s, struct intake *intake)
{
    while (waker_wait(&s->waker, s->fd, POLLIN, -1) != WAIT_WOKEN) {
        receive(s, intake);
        note_given_up(s, intake);
        intake_flush(intake);
    }
    while (receive(s, intake)) /* what had come when we were stopped still counts */
        ;
    intake_flush(intake);
}

static void nmsg_source_stop(struct source *s)
{
    waker_wake(&s->waker);
}

static uint64_t nmsg_source_memory(const struct options *options)
{
    return sizeof(struct source) + (uint64_t)DATAGRAMS * DATAGRAM_MAX +
           4 * (uint64_t)NMSG_CONTAINER_MAX + 2 * options_number(options, "fragments") +
           options_number(options, "receive-buffer");
}

static bool nmsg_source_check(const struct place *place, struct error *error)
{
    unsigned interface;
    return address_check(place, error) && nmsg_interface(place->options, &interface, error);
}

const struct source_ops nmsg_source_ops = {
    .has_links = true,
    .check = nmsg_source_check,
    .open = nmsg_source_open,
    .run = nmsg_source_run,
    .stop = nmsg_source_stop,
    .free = nmsg_source_free,
    .memory = nmsg_source_memory,
};
