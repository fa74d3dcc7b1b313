#!/bin/sh
# tap.h and tap.c alone, in a directory with nothing else, with the plain compiler and no libraries.
set -eu
tap=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp "$tap/tap.h" "$tap/tap.c" "$dir"
cd "$dir"
cat >server.c <<'EOF'
#include "tap.h"
int main(void)
{
    char error[TAP_ERROR_SIZE];
    struct tap *tap = tap_open("out.fstrm", NULL, error, sizeof error);
    struct tap_lane *lane = tap ? tap_lane(tap) : NULL;
    struct tap_message message;
    tap_message_init(&message, TAP_CLIENT_QUERY);
    message.query_message = tap_string("hello");
    if (!lane || !tap_emit(lane, &message))
        return 1;
    struct tap_counters total;
    tap_close(&tap, 5000, &total);
    return total.written == 1 ? 0 : 1;
}
EOF
for cc in ${CC:-cc} clang; do
    command -v "$cc" >/dev/null || continue
    for level in 0 2; do
        "$cc" -std=c11 -Wall -Wextra -Werror -O$level -c tap.c
        "$cc" -std=c11 -Wall -Wextra -Werror -O$level -c server.c
        "$cc" -o server server.o tap.o -pthread
        ./server
        test "$(wc -c <out.fstrm)" -eq 71
    done
done
if command -v c++ >/dev/null; then
    printf '#include "tap.h"\nint main() { return 0; }\n' >server.cc
    c++ -Wall -Wextra -Werror -c server.cc
fi
echo "tap.h and tap.c stand alone"
