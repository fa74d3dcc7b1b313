#include "receipt/command.h"

#include <inttypes.h>
#include <stdlib.h>

#include "receipt/file.h"
#include "receipt/report.h"

enum { ARGUMENTS_MAX = 2 };

/* What was asked for, as it was written. */
struct request {
    const char *key, *old_key, *key_a, *key_b;
};

static int complain(const struct error *error)
{
    fprintf(stderr, "dnstap-bridge: receipts: %s\n", error->text);
    return VERDICT_UNKNOWN;
}

/* --- keys --- */

static int new_key(const struct request *request, char **files)
{
    struct error error;
    (void)request;
    if (!receipt_key_make(files[0], &error))
        return complain(&error);
    struct receipt_key *key = receipt_key_read(files[0], &error);
    if (!key)
        return complain(&error);
    printf("%s is the key, for nobody else to see; %s.pub is for your partner.\npublic key: "
           "%s\nfingerprint: %s\n",
           files[0], files[0], receipt_key_public(key), receipt_key_id(key));
    receipt_key_free(key);
    return 0;
}

static int rotate(const struct request *request, char **files)
{
    struct error error;
    if (!request->key || !request->old_key) {
        error_set(&error, "--rotate FILE needs --old-key FILE and --key FILE, both private");
        return complain(&error);
    }
    struct receipt_key *old = receipt_key_read(request->old_key, &error);
    struct receipt_key *new = old ? receipt_key_read(request->key, &error) : NULL;
    bool ok = new &&receipt_file_rotate(files[0], old, new, &error);
    if (ok)
        printf("%s goes on with the key %s\n", files[0], receipt_key_id(new));
    receipt_key_free(old);
    receipt_key_free(new);
    return ok ? 0 : complain(&error);
}

/* --- files --- */

struct side {
    const char *name; /* as sentences call it */
    const char *path;
    struct receipt_key *trusted;
    struct receipt_reader *reader;
    struct receipt_links links;
};

/* Opens and judges a file: its first pass. False: it has said why. */
static bool side_open(struct side *side, const char *name, const char *path, const char *key)
{
    struct error error;
    *side = (struct side){.name = name, .path = path};
    if (key && !(side->trusted = receipt_key_read_public(key, &error))) {
        complain(&error);
        return false;
    }
    side->reader = receipt_reader_open(path, side->trusted, &error);
    if (side->reader && receipt_links_read(&side->links, side->reader, &error))
        return true;
    printf("%s %s\n", name, error.text);
    return false;
}

static void side_close(struct side *side)
{
    receipt_links_free(&side->links);
    receipt_reader_free(side->reader);
    receipt_key_free(side->trusted);
}

/* Where the file's own end leaves something open. */
static void print_end(const struct side *side)
{
    const struct receipt_facts *f = receipt_reader_facts(side->reader);
    if (!f->closed)
        printf("%s is not closed: it is being written, or its end is missing%s.\n", side->name,
               f->torn ? " (its last line is cut off)" : "");
    if (f->crashes > 0)
        printf("%s was not closed before %" PRIu64
               " of its starts: what was not written then is not in it.\n",
               side->name, f->crashes);
    if (f->unwritten > 0)
        printf("%s lacks %" PRIu64 " lines that could not be written; it says so itself.\n",
               side->name, f->unwritten);
}

static const char *plural(unsigned count)
{
    return count == 1 ? "" : "s";
}

static void print_facts(const struct side *side)
{
    const struct receipt_facts *f = receipt_reader_facts(side->reader);
    printf("%" PRIu64 " line%s of a %s, up to %s, %u link%s, signed by %s%s", f->lines,
           f->lines == 1 ? "" : "s", f->sender ? "sender" : "receiver", f->time[0] ? f->time : "?",
           side->links.count, plural(side->links.count), f->key,
           side->trusted ? "" : " (no key was given to compare it with)");
}

static void print_side(const struct side *side)
{
    printf("%s: %s: ", side->name, side->path);
    print_facts(side);
    putchar('\n');
}

static int verify(const struct request *request, char **files)
{
    struct side side;
    int status = VERDICT_UNKNOWN;
    if (side_open(&side, files[0], files[0], request->key)) {
        const struct receipt_facts *f = receipt_reader_facts(side.reader);
        bool whole = f->closed && !f->torn;
        printf("%s is whole%s: ", files[0], whole ? "" : " as far as it goes");
        print_facts(&side);
        fputs(".\n", stdout);
        print_end(&side);
        status = whole ? VERDICT_SAME : VERDICT_DIFFERENT;
    }
    side_close(&side);
    return status;
}

static enum receipt_verdict worse(enum receipt_verdict a, enum receipt_verdict b)
{
    return a == VERDICT_DIFFERENT || b == VERDICT_SAME ? a : b;
}

/* The sentence of each link at once, its details into `details`. */
static int compare_links(struct side *sender, struct side *receiver, FILE *details)
{
    struct error error;
    enum receipt_verdict verdict = VERDICT_SAME;
    struct receipt_comparison *found = malloc(sizeof *found);
    if (!found)
        return VERDICT_UNKNOWN;
    for (unsigned i = 0; i < sender->links.count; i++) {
        struct receipt_reader *bad;
        const char *link = sender->links.names[i];
        if (!receipt_compare(found, link, sender->reader, receiver->reader, &bad, &error)) {
            printf("%s %s\n", bad == sender->reader ? sender->name : receiver->name, error.text);
            verdict = VERDICT_UNKNOWN;
            break;
        }
        if (sender->links.count > 1) {
            receipt_report_link(link, stdout);
            fputs(": ", stdout);
        }
        receipt_report_sentence(found, sender->name, receiver->name, stdout);
        putchar('\n');
        receipt_report_details(found, sender->name, receiver->name, details);
        verdict = worse(verdict, receipt_verdict_of(found));
    }
    free(found);
    return (int)verdict;
}

static int compare_sides(struct side *a, struct side *b)
{
    bool a_sends = receipt_reader_facts(a->reader)->sender,
         b_sends = receipt_reader_facts(b->reader)->sender;
    struct side *sender = a_sends ? a : b, *receiver = a_sends ? b : a;
    char *text = NULL;
    size_t len = 0;
    unsigned common = 0;
    if (a_sends == b_sends) {
        printf("A and B are both of a %s: there is nothing to compare.\n",
               a_sends ? "sender" : "receiver");
        return VERDICT_UNKNOWN;
    }
    for (unsigned i = 0; i < receiver->links.count; i++)
        common += receipt_links_have(&sender->links, receiver->links.names[i]);
    if (common == 0) {
        printf("A and B have no link in common: they tell of different ones, or nothing came.\n");
        return VERDICT_UNKNOWN;
    }
    FILE *details = open_memstream(&text, &len);
    int verdict = details ? compare_links(sender, receiver, details) : VERDICT_UNKNOWN;
    print_end(a);
    print_end(b);
    putchar('\n');
    print_side(a);
    print_side(b);
    if (receiver->links.count > common)
        printf("%s has %u link%s of other senders.\n", receiver->name,
               receiver->links.count - common, plural(receiver->links.count - common));
    if (details && fclose(details) == 0)
        fwrite(text, 1, len, stdout);
    free(text);
    return verdict;
}

static int compare(const struct request *request, char **files)
{
    struct side a = {0}, b = {0};
    /* the second is judged, too, where the first is bad */
    bool ok = side_open(&a, "A", files[0], request->key_a);
    ok = side_open(&b, "B", files[1], request->key_b) && ok;
    int status = ok ? compare_sides(&a, &b) : VERDICT_UNKNOWN;
    side_close(&a);
    side_close(&b);
    return status;
}

/* --- the command line --- */

void receipt_help(FILE *out)
{
    fputs("Usage: dnstap-bridge receipts --compare A B [--key-a PUB] [--key-b PUB]\n"
          "       dnstap-bridge receipts --verify FILE [--key PUB]\n"
          "       dnstap-bridge receipts --new-key FILE\n"
          "       dnstap-bridge receipts --rotate FILE --old-key KEY --key KEY\n"
          "What two ends of a bus link signed about what crossed it (options receipts= and "
          "receipts-key=\n"
          "of nng and kafka).\n\n"
          "  --compare A B    did sender and receiver see the same messages? in a sentence, then "
          "the details\n"
          "  --verify FILE    are all lines there, in order, and as they were signed?\n"
          "  --new-key FILE   make a key: FILE, and FILE.pub for the partner\n"
          "  --rotate FILE    name the key that signs FILE from here on, signed by the old one\n\n"
          "PUB is a public key in PEM: the partner's, as it was handed over. Without it a file is "
          "judged by the\n"
          "key that it names itself.\n"
          "Exit: 0 the same, or whole and closed; 1 different, or not closed; 2 it cannot be said, "
          "or a bad file.\n",
          out);
}

static int help(const struct request *request, char **files)
{
    (void)request;
    (void)files;
    receipt_help(stdout);
    return 0;
}

static const struct action {
    const char *name;
    int files;
    int (*run)(const struct request *request, char **files);
} actions[] = {
    {"--compare", 2, compare}, {"--verify", 1, verify}, {"--new-key", 1, new_key},
    {"--rotate", 1, rotate},   {"--help", 0, help},     {NULL, 0, NULL},
};

static const struct action *find_action(const char *name)
{
    for (const struct action *a = actions; a->name; a++) {
        if (strcmp(a->name, strcmp(name, "-h") == 0 ? "--help" : name) == 0)
            return a;
    }
    return NULL;
}

const char *receipt_word(unsigned i)
{
    static const char *const values[] = {"--key", "--old-key", "--key-a", "--key-b"};
    const unsigned count = sizeof actions / sizeof *actions - 1;
    if (i < count)
        return actions[i].name;
    return i - count < sizeof values / sizeof *values ? values[i - count] : NULL;
}

static const char **find_value(struct request *request, const char *name)
{
    const struct {
        const char *name;
        const char **value;
    } values[] = {{"--key", &request->key},
                  {"--old-key", &request->old_key},
                  {"--key-a", &request->key_a},
                  {"--key-b", &request->key_b}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (strcmp(values[i].name, name) == 0)
            return values[i].value;
    }
    return NULL;
}

static bool parse(int argc, char **argv, const struct action **action, struct request *request,
                  char **files, struct error *error)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        const struct action *named = find_action(argv[i]);
        const char **value = find_value(request, argv[i]);
        if (named && *action)
            return error_set(error, "%s and %s exclude each other", (*action)->name, argv[i]);
        if (named)
            *action = named;
        else if (value && i + 1 < argc)
            *value = argv[++i];
        else if (value || strncmp(argv[i], "--", 2) == 0 || count == ARGUMENTS_MAX)
            return error_set(
                error, "'%s' is not understood here, or lacks its value; see 'receipts --help'",
                argv[i]);
        else
            files[count++] = argv[i];
    }
    if (!*action)
        return error_set(
            error,
            "say what to do: --compare A B, --verify FILE, --new-key FILE, --rotate FILE; see "
            "'receipts --help'");
    return count == (*action)->files ||
           error_set(error, "%s takes %d file%s, not %d", (*action)->name, (*action)->files,
                     (*action)->files == 1 ? "" : "s", count);
}

int receipt_command(int argc, char **argv)
{
    struct request request = {0};
    char *files[ARGUMENTS_MAX] = {0};
    const struct action *action = NULL;
    struct error error;
    if (!parse(argc, argv, &action, &request, files, &error))
        return complain(&error);
    int status = action->run(&request, files);
    return fflush(stdout) == 0 ? status : VERDICT_UNKNOWN;
}
