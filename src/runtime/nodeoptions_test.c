#include "runtime/nodeoptions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

static void what_the_command_line_says(void **state) {
    static const struct {
        struct str command, environ;
        struct node_options wanted;
    } row[] = {
        {STR("node\0app.js\0"), STR(""), {NODE_PORT, false, false}},
        {STR("node\0--inspect\0app.js\0"), STR(""), {NODE_PORT, true, false}},
        {STR("node\0--inspect=9333\0app.js\0"), STR(""), {9333, true, false}},
        {STR("node\0--inspect=0.0.0.0:9333\0app.js\0"), STR(""), {9333, true, false}},
        {STR("node\0--inspect-brk=[::1]:1\0app.js\0"), STR(""), {1, true, false}},
        {STR("node\0--inspect=localhost\0app.js\0"), STR(""), {NODE_PORT, true, false}},
        {STR("node\0--inspect-port=0\0app.js\0"), STR(""), {0, false, false}},
        {STR("node\0--inspect-port\0"
             "9444\0app.js\0"),
         STR(""),
         {9444, false, false}},
        {STR("node\0app.js\0--inspect=9333\0"), STR(""), {NODE_PORT, false, false}},
        {STR("node\0-r\0./x.js\0--inspect=9333\0app.js\0"), STR(""), {9333, true, false}},
        {STR("node\0-e\0--inspect=1\0"), STR(""), {NODE_PORT, false, false}},
        {STR("node\0--\0--inspect=1\0"), STR(""), {NODE_PORT, false, false}},
        {STR("node\0--inspect=99999\0a.js\0"), STR(""), {NODE_PORT, true, false}},
        {STR("node\0a.js\0"),
         STR("A=b\0NODE_OPTIONS=--inspect=5 --disable-sigusr1\0"),
         {5, true, true}},
        {STR("node\0--inspect-port=7\0a.js\0"),
         STR("NODE_OPTIONS=--inspect=5\0"),
         {7, true, false}},
        {STR("node\0a.js\0"), STR("XNODE_OPTIONS=--inspect=5\0"), {NODE_PORT, false, false}},
        {STR("node"), STR("NODE_OPTIONS=--inspect=5"), {NODE_PORT, false, false}},
        {STR(""), STR(""), {NODE_PORT, false, false}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(row); i++) {
        struct node_options got;

        node_options_read(row[i].command, row[i].environ, &got);
        if (got.port != row[i].wanted.port || got.inspects != row[i].wanted.inspects ||
            got.sigusr1_off != row[i].wanted.sigusr1_off)
            fail_msg("%zu: %u %d %d", i, got.port, got.inspects, got.sigusr1_off);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_the_command_line_says)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
