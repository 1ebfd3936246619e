/* main.c - the list of subcommands. */
#include "base/mem.h"
#include "cmd/dispatch.h"

static const struct cmd *const commands[] = {&cmd_stats, &cmd_free,  &cmd_ps,    &cmd_map, &cmd_top,
                                             &cmd_run,   &cmd_agent, &cmd_query, &cmd_gc};

int main(int argc, char **argv) {
    return dispatch(commands, ARRAY_N(commands), argc, argv);
}
