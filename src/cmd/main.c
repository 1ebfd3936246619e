/* main.c - the list of subcommands. */
#include "base/mem.h"
#include "cmd/dispatch.h"

/* What needs more libraries than a supervisor should carry lives in an executable of its own. */
static const struct cmd heap = {
    .name = "heap",
    .brief = "what a runtime's heap holds: classes, types, stacks, and how it grows",
    .in = "plimsoll-inspect",
};
static const struct cmd gctrace = {
    .name = "gctrace",
    .brief = "a Go program's collector, live: from GODEBUG=gctrace=1",
    .in = "plimsoll-inspect",
};

static const struct cmd *const commands[] = {
    &cmd_stats, &cmd_free,   &cmd_ps,        &cmd_map, &cmd_top,   &cmd_run,
    &cmd_agent, &cmd_query,  &cmd_doctor,    &cmd_gc,  &cmd_enter, &cmd_dump,
    &cmd_guard, &cmd_rescue, &cmd_incidents, &heap,    &gctrace};

int main(int argc, char **argv) {
    return dispatch(commands, ARRAY_N(commands), argc, argv);
}
