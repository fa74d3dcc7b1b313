#include "framestream_connection.h"

#include <stdlib.h>

void connection_list_append(struct connection_list *list, struct connection *c)
{
    c->prev = list->last;
    c->next = NULL;
    *(list->last ? &list->last->next : &list->first) = c;
    list->last = c;
}

void connection_list_remove(struct connection_list *list, struct connection *c)
{
    *(c->prev ? &c->prev->next : &list->first) = c->next;
    *(c->next ? &c->next->prev : &list->last) = c->prev;
}

struct connection *connection_new(int fd, struct tls_context *tls, struct stream *stream)
{
    struct connection *c = calloc(1, sizeof *c);
    struct tls_session *session = c && tls ? tls_session_new(tls, fd) : NULL;
    if (!c || !stream || (tls && !session)) {
        tls_session_free(session);
        stream_free(stream);
        free(c);
        return NULL;
    }
    c->link = (struct link){.fd = fd, .tls = session};
    c->phase = tls ? PHASE_SECURING : PHASE_OPENING;
    c->stream = stream;
    return c;
}

void connection_free(struct connection *c)
{
    link_close(&c->link);
    stream_free(c->stream);
    free(c);
}
