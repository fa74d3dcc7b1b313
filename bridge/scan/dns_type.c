#include "dns_type.h"

#include <stdio.h>

/* Types below 259, by number. */
static const struct dns_type low_types[] = {
    [0] = {"None", NULL},
    [1] = {"A", "a"},
    [2] = {"NS", "n"},
    [3] = {"MD", "n"},
    [4] = {"MF", "n"},
    [5] = {"CNAME", "n"},
    [6] = {"SOA", "nn44444"},
    [7] = {"MB", "n"},
    [8] = {"MG", "n"},
    [9] = {"MR", "n"},
    [10] = {"NULL", "*"},
    [12] = {"PTR", "n"},
    [13] = {"HINFO", "ss"},
    [14] = {"MINFO", "nn"},
    [15] = {"MX", "2n"},
    [16] = {"TXT", "S"},
    [17] = {"RP", "nn"},
    [18] = {"AFSDB", "2n"},
    [19] = {"X25", "s"},
    [20] = {"ISDN", NULL},
    [21] = {"RT", "2n"},
    [23] = {"NSAP-PTR", "n"},
    [24] = {"SIG", "2114442n*"},
    [25] = {"KEY", "211*"},
    [26] = {"PX", "2nn"},
    [27] = {"GPOS", "sss"},
    [28] = {"AAAA", "q"},
    [29] = {"LOC", "1111444"},
    [30] = {"NXT", NULL},
    [31] = {"EID", "*"},
    [32] = {"NIMLOC", "*"},
    [33] = {"SRV", "222n"},
    [34] = {"ATMA", NULL},
    [35] = {"NAPTR", "22sssn"},
    [36] = {"KX", "2n"},
    [37] = {"CERT", "221*"},
    [39] = {"DNAME", "n"},
    [41] = {"OPT", "o"},
    [42] = {"APL", "l"},
    [43] = {"DS", "211*"},
    [44] = {"SSHFP", "11*"},
    [46] = {"RRSIG", "2114442n*"},
    [47] = {"NSEC", "nt"},
    [48] = {"DNSKEY", "211*"},
    [49] = {"DHCID", "*"},
    [50] = {"NSEC3", "1121=1=t"},
    [51] = {"NSEC3PARAM", "1121="},
    [52] = {"TLSA", "111*"},
    [53] = {"SMIMEA", "111*"},
    [55] = {"HIP", "112hN"},
    [56] = {"NINFO", "S"},
    [57] = {"RKEY", "211*"},
    [58] = {"TALINK", "nn"},
    [59] = {"CDS", "211*"},
    [60] = {"CDNSKEY", "211*"},
    [61] = {"OPENPGPKEY", "*"},
    [62] = {"CSYNC", "42t"},
    [63] = {"ZONEMD", "411*"},
    [64] = {"SVCB", "2np"},
    [65] = {"HTTPS", "2np"},
    [99] = {"SPF", "S"},
    [100] = {"UINFO", "s"},
    [101] = {"UID", "4"},
    [102] = {"GID", "4"},
    [103] = {"UNSPEC", NULL},
    [104] = {"NID", "28"},
    [105] = {"L32", "2a"},
    [106] = {"L64", "28"},
    [107] = {"LP", "2n"},
    [108] = {"EUI48", "6"},
    [109] = {"EUI64", "8"},
    [249] = {"TKEY", "n44222=2="},
    [250] = {"TSIG", "n622=222="},
    [251] = {"IXFR", NULL},
    [252] = {"AXFR", NULL},
    [253] = {"MAILB", NULL},
    [254] = {"MAILA", NULL},
    [255] = {"ANY", ""},
    [256] = {"URI", "22*"},
    [257] = {"CAA", "1s*"},
    [258] = {"AVC", "S"},
};

/* The few above. */
static const struct {
    uint16_t number;
    struct dns_type type;
} high_types[] = {
    {32768, {"TA", "211*"}},
    {32769, {"DLV", "211*"}},
    {65535, {"Reserved", NULL}},
};

static const char *const class_names[] = {
    [1] = "IN", [2] = "CS", [3] = "CH", [4] = "HS", [254] = "NONE",
};

const struct dns_type *dns_type_find(uint16_t type)
{
    static const struct dns_type unknown = {NULL, NULL};

    if (type < sizeof low_types / sizeof low_types[0])
        return &low_types[type];
    for (size_t i = 0; i < sizeof high_types / sizeof high_types[0]; i++)
        if (high_types[i].number == type)
            return &high_types[i].type;
    return &unknown;
}

static void put_named(const char *name, const char *prefix, uint16_t number, struct buffer *out)
{
    char text[16];

    if (!name) {
        snprintf(text, sizeof text, "%s%u", prefix, (unsigned)number);
        name = text;
    }
    buffer_put_string(out, name);
}

void dns_type_put(uint16_t type, struct buffer *out)
{
    put_named(dns_type_find(type)->name, "TYPE", type, out);
}

void dns_class_put(uint16_t class, struct buffer *out)
{
    size_t named = sizeof class_names / sizeof class_names[0];
    put_named(class < named ? class_names[class] : NULL, "CLASS", class, out);
}
