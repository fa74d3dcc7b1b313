#include "rdata.h"

#include "../scan/dns_cut.h"
#include "../scan/dns_type.h"
#include "moment.h"
#include "put.h"
#include "rdata_fields.h"

/* What is printed of each type, one character a field; a space goes between fields.
 *
 *     1 2 4    decimal numbers of so many octets    s  character-string in quotes
 *     T        type                                 w  the same, bare
 *     D F      time of 4 or 6 octets                S  character-strings to the end
 *     n        name                                 b x X y @ r   the rest: base64, hexadecimal,
 * upper N        names to the end                        case, in pieces, quoted, raw a q e
 * addresses                            - z k K  counted: salt, base32, hexadecimal c A      type of
 * certificate, algorithm       h  HIP's tag and key i I      identifier, lower and upper case     t
 * type bitmap 6 8      EUI                                  p l  service parameters, address
 * prefixes L        location */
static const char *const forms[] = {
    [1] = "a",          [2] = "n",          [3] = "n",     [4] = "n",     [5] = "n",
    [6] = "nn44444",    [7] = "n",          [8] = "n",     [9] = "n",     [10] = "r",
    [12] = "n",         [13] = "ss",        [14] = "nn",   [15] = "2n",   [16] = "S",
    [17] = "nn",        [18] = "2n",        [19] = "w",    [21] = "2n",   [23] = "n",
    [24] = "T114DD2nb", [25] = "211b",      [26] = "2nn",  [27] = "www",  [28] = "q",
    [29] = "L",         [31] = "X",         [32] = "X",    [33] = "222n", [35] = "22sssn",
    [36] = "2n",        [37] = "c2Ab",      [39] = "n",    [42] = "l",    [43] = "211X",
    [44] = "11X",       [46] = "T114DD2nb", [47] = "nt",   [48] = "211b", [49] = "b",
    [50] = "112-zt",    [51] = "112-",      [52] = "111x", [53] = "111y", [55] = "hN",
    [56] = "S",         [57] = "211b",      [58] = "nn",   [59] = "211X", [60] = "211b",
    [61] = "b",         [62] = "42t",       [63] = "411x", [64] = "2np",  [65] = "2np",
    [99] = "S",         [100] = "s",        [101] = "4",   [102] = "4",   [104] = "2i",
    [105] = "2e",       [106] = "2I",       [107] = "2n",  [108] = "6",   [109] = "8",
    [249] = "nDD22kk",  [250] = "nF2K22k",  [255] = "",    [256] = "22@", [257] = "1w@",
    [258] = "S",
};
static const char trust_anchor[] = "211X";

static const char *form_of(uint16_t type)
{
    if (type < sizeof forms / sizeof forms[0])
        return forms[type];
    return type == 32768 || type == 32769 ? trust_anchor : NULL;
}

typedef void put_field(struct rdata_cursor *c, struct buffer *out);

static put_field *const puts_of[128] = {
    ['1'] = rdata_put_1,         ['2'] = rdata_put_2,        ['4'] = rdata_put_4,
    ['T'] = rdata_put_type,      ['D'] = rdata_put_time,     ['F'] = rdata_put_time48,
    ['n'] = rdata_put_name,      ['N'] = rdata_put_names,    ['a'] = rdata_put_ipv4,
    ['e'] = rdata_put_locator,   ['q'] = rdata_put_ipv6,     ['c'] = rdata_put_cert,
    ['A'] = rdata_put_algorithm, ['i'] = rdata_put_id,       ['I'] = rdata_put_id_upper,
    ['6'] = rdata_put_eui48,     ['8'] = rdata_put_eui64,    ['s'] = rdata_put_string,
    ['w'] = rdata_put_word,      ['S'] = rdata_put_strings,  ['b'] = rdata_put_base64,
    ['x'] = rdata_put_hex,       ['X'] = rdata_put_upper,    ['y'] = rdata_put_pieces,
    ['@'] = rdata_put_quoted,    ['r'] = rdata_put_raw,      ['-'] = rdata_put_salt,
    ['z'] = rdata_put_base32,    ['k'] = rdata_put_counted,  ['K'] = rdata_put_counted_upper,
    ['h'] = rdata_put_hip,       ['t'] = rdata_put_bitmap,   ['p'] = rdata_put_parameters,
    ['l'] = rdata_put_prefixes,  ['L'] = rdata_put_location,
};

/* Fields that put a space before each of their parts themselves. */
static bool spaces_itself(char field)
{
    return field == 't' || field == 'N' || field == 'p' || field == 'e';
}

void rdata_put_unknown(struct octets rdata, struct buffer *out)
{
    buffer_put_string(out, "\\# ");
    put_unsigned(rdata.len, out);
    if (rdata.len > 0)
        buffer_put_char(out, ' ');
    put_hex(rdata, out);
}

/* Types whose Go form is no presentation form. */
static bool has_plain_form(uint16_t type)
{
    return form_of(type) && type != 10 && type != 249 && type != 250 && type != 255;
}

bool rdata_known(uint16_t type)
{
    return form_of(type) != NULL;
}

static bool put_form(struct rdata_cursor *c, const char *form, struct buffer *out)
{
    for (const char *field = form; *field; field++) {
        bool over = reader_left(&c->r) == 0 && !strchr("tNpSlbxXyr@", *field);
        if (over && !c->go)
            return false;
        if (field > form && !spaces_itself(*field))
            buffer_put_char(out, ' ');
        puts_of[(unsigned char)*field](c, out);
    }
    return !c->r.bad || c->go;
}

void rdata_put(struct octets message, const struct dns_record *record, enum rdata_manner manner,
               struct buffer *out)
{
    struct rdata_cursor c = {
        .message = message, .r = dns_rdata_reader(message, record), .go = manner == RDATA_GO};
    struct octets whole = {message.data + record->rdata, record->rdata_len};
    const char *form = form_of(record->type);
    size_t before = out->len;

    if (c.go && !form) {
        rdata_put_unknown(whole, out);
        if (whole.len == 0)
            buffer_put_char(out, ' ');
        return;
    }
    if (!c.go && (whole.len == 0 || !has_plain_form(record->type))) {
        rdata_put_unknown(whole, out);
        return;
    }
    if (!put_form(&c, form, out)) {
        out->len = before;
        rdata_put_unknown(whole, out);
    }
}
