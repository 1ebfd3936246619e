/* main.c - the executable of the commands that carry more libraries: plimsoll-inspect, which
 * `plimsoll heap` and `plimsoll gctrace` become.
 */
#include "base/mem.h"
#include "cmd/dispatch.h"

static const struct cmd *const commands[] = {&cmd_heap, &cmd_gctrace};

int main(int argc, char **argv) {
    return dispatch(commands, ARRAY_N(commands), argc, argv);
}
