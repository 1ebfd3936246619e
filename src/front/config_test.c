#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "base/file.h"
#include "front/config.h"

enum { YAML_BYTES = 256 << 10 };

#define NAME STR("/etc/plimsoll/plimsoll.yaml")

struct parsed {
    struct config c;
    struct buf errors;
    int r;
};

static void parse(struct parsed *p, const char *text) {
    config_defaults(&p->c);
    buf_init(&p->errors, 1 << 20);
    p->r = config_parse(&p->c, NAME, str_of(text), &p->errors);
}

static void done(struct parsed *p) {
    config_done(&p->c);
    buf_done(&p->errors);
}

static void says(const struct parsed *p, const char *text) {
    if (!memmem(p->errors.p, p->errors.n, text, strlen(text)))
        fail_msg("not '%s' but '%.*s'", text, STR_ARG(buf_str(&p->errors)));
}

/* Exactly these lines, after the file's name and a colon; each ends with a newline. */
static void refuses(const char *text, const char *lines) {
    struct parsed p;
    struct buf found;
    struct str rest, line;

    parse(&p, text);
    buf_init(&found, 1 << 20);
    rest = buf_str(&p.errors);
    while (str_cut(&rest, '\n', &line)) {
        if (!str_skip(&line, NAME) || !str_skip(&line, STR(":")))
            fail_msg("no position: '%.*s'", STR_ARG(line));
        buf_add(&found, line);
        buf_add_char(&found, '\n');
    }
    if (!str_eq(buf_str(&found), str_of(lines)))
        fail_msg("'%s' gives\n%.*s", text, STR_ARG(buf_str(&found)));
    assert_int_equal(p.r, -EINVAL);
    buf_done(&found);
    done(&p);
}

static void nothing_is_the_defaults(void **state) {
    static const char *const empty[] = {"", "# only a comment\n", "---\n", "{}", "--- {}\n...\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        struct parsed p;

        parse(&p, empty[i]);
        assert_int_equal(p.r, 0);
        assert_string_equal(p.c.listen, "127.0.0.1:7533");
        assert_int_equal(p.c.interval_ms, 1000);
        assert_int_equal(p.c.fastest_ms, 100);
        assert_int_equal(p.c.targets, WIRE_TARGETS_SERVICES);
        assert_true(p.c.cadvisor_names);
        assert_false(p.c.show_commands);
        done(&p);
    }
}

static void every_key_is_taken(void **state) {
    struct parsed p;

    (void)state;
    parse(&p, "listen: '[::1]:7600'\n"
              "socket: /run/p.sock\n"
              "state: ./var\n"
              "token_file: secret/token\n"
              "tls: {cert: c.pem, key: /k.pem}\n"
              "hosts: [box.example, 'box']\n"
              "interval: 500ms\n"
              "fastest: 0.2\n"
              "sampling: adaptive\n"
              "targets: all\n"
              "processes: 7\n"
              "cadvisor_names: false\n"
              "show_commands: true\n"
              "retention: {raw: 48h, minute: 60d, hour: 2y, size: 512MiB}\n"
              "remote_write:\n"
              "  - url: https://metrics.example/api/v1/write\n"
              "    interval: 15s\n"
              "    timeout: 1m\n"
              "    username: me\n"
              "    password_file: /pw\n"
              "    ca_file: /ca.pem\n"
              "    labels: {site: north, rack: \"7\"}\n"
              "  - url: http://10.0.0.1:9090/api/v1/write\n"
              "    token_file: /tok\n");
    if (p.r != 0)
        fail_msg("%.*s", STR_ARG(buf_str(&p.errors)));
    assert_int_equal(p.errors.n, 0);
    assert_string_equal(p.c.listen, "[::1]:7600");
    assert_string_equal(p.c.socket, "/run/p.sock");
    assert_string_equal(p.c.state, "/etc/plimsoll/./var");
    assert_string_equal(p.c.token_file, "/etc/plimsoll/secret/token");
    assert_string_equal(p.c.tls_cert, "/etc/plimsoll/c.pem");
    assert_string_equal(p.c.tls_key, "/k.pem");
    assert_int_equal(p.c.n_hosts, 2);
    assert_string_equal(p.c.hosts[1], "box");
    assert_int_equal(p.c.interval_ms, 500);
    assert_int_equal(p.c.fastest_ms, 200);
    assert_true(p.c.adaptive);
    assert_int_equal(p.c.targets, WIRE_TARGETS_ALL);
    assert_int_equal(p.c.processes, 7);
    assert_false(p.c.cadvisor_names);
    assert_true(p.c.show_commands);
    assert_int_equal(p.c.store.raw_ms, 48 * 3600000LL);
    assert_int_equal(p.c.store.minute_ms, 60 * 86400000LL);
    assert_int_equal(p.c.store.hour_ms, 730 * 86400000LL);
    assert_int_equal(p.c.store.max_bytes, 512 << 20);
    assert_int_equal(p.c.remotes, 2);
    assert_string_equal(p.c.remote[0].url, "https://metrics.example/api/v1/write");
    assert_int_equal(p.c.remote[0].interval_ms, 15000);
    assert_int_equal(p.c.remote[0].timeout_ms, 60000);
    assert_string_equal(p.c.remote[0].username, "me");
    assert_string_equal(p.c.remote[0].password_file, "/pw");
    assert_string_equal(p.c.remote[0].ca_file, "/ca.pem");
    assert_int_equal(p.c.remote[0].labels, 2);
    assert_string_equal(p.c.remote[0].label_name[1], "rack");
    assert_string_equal(p.c.remote[0].label_value[1], "7");
    assert_int_equal(p.c.remote[1].interval_ms, 5000);
    assert_int_equal(p.c.remote[1].timeout_ms, 30000);
    assert_string_equal(p.c.remote[1].token_file, "/tok");
    assert_null(p.c.remote[1].username);
    done(&p);
}

static void a_wrong_key_has_a_place_and_a_suggestion(void **state) {
    (void)state;
    refuses("listen: off\nintervall: 1s\n", "2:1: unknown key \"intervall\", did you mean "
                                            "\"interval\"?\n");
    refuses("limt: 1\n", "1:1: unknown key \"limt\"\n");
    refuses("tls:\n  certt: a\n  key: b\n", "2:3: unknown key \"certt\", did you mean \"cert\"?\n");
    refuses("retention: {days: 3}\n", "1:13: unknown key \"days\" in retention\n");
    refuses("remote_write: [{urll: http://a/}]\n",
            "1:17: unknown key \"urll\", did you mean \"url\"?\n");
    refuses("url: http://a/\n", "1:1: unknown key \"url\"\n");
    refuses("<<: {interval: 1s}\n", "1:1: unknown key \"<<\"\n");
}

static void all_errors_are_told(void **state) {
    (void)state;
    refuses("interval: soon\n"
            "processes: -1\n"
            "sampling: evry\n"
            "targets: [all]\n"
            "cadvisor_names: yes\n"
            "retention: 30d\n",
            "1:11: interval is a duration as 500ms, 1s, 24h or 30d, not 'soon'\n"
            "2:12: processes is a number from 0 to 200, not '-1'\n"
            "3:11: unknown sampling \"evry\", did you mean \"every\"?\n"
            "4:10: targets is a single value, not a list\n"
            "5:17: cadvisor_names is true or false, not 'yes'\n"
            "6:12: retention is a map (key: value), not a text\n");
}

static void a_thousand_errors_are_a_hundred_lines(void **state) {
    struct buf text, wanted;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_init(&wanted, 1 << 20);
    for (unsigned i = 0; i < 1000; i++)
        buf_add_format(&text, "unknown%u: 1\n", i);
    for (unsigned i = 0; i < 100; i++)
        buf_add_format(&wanted, "%u:1: unknown key \"unknown%u\"\n", i + 1, i);
    buf_add(&wanted, STR("1:1: and 900 more of these\n"));
    buf_add_char(&text, '\0');
    buf_add_char(&wanted, '\0');
    refuses(text.p, wanted.p);
    buf_done(&text);
    buf_done(&wanted);
}

static void values_have_ranges(void **state) {
    (void)state;
    refuses("interval: 10ms", "1:11: interval may be 100ms to 1m, not '10ms'\n");
    refuses("interval: 2m", "1:11: interval may be 100ms to 1m, not '2m'\n");
    refuses("retention: {raw: 1m}", "1:18: raw may be 10m to 366d, not '1m'\n");
    refuses("retention: {size: 1M}", "1:19: size may be 16M to 1048576G, not '1M'\n");
    refuses("retention: {size: 99999999999999999999}",
            "1:19: size is a size as 512M or 2G, not '99999999999999999999'\n");
    refuses("processes: 201", "1:12: processes is a number from 0 to 200, not '201'\n");
    refuses("sampling: sometimes", "1:11: sampling is one of every, adaptive, not 'sometimes'\n");
}

static void a_key_stands_once(void **state) {
    (void)state;
    refuses("interval: 1s\ninterval: 2s\n", "2:1: key \"interval\" stands here twice\n");
    refuses("tls: {cert: a, key: b, cert: c}", "1:24: key \"cert\" stands here twice\n");
    refuses("remote_write: [{url: http://a/, labels: {x: a, x: b}}]",
            "1:48: label \"x\" stands here twice\n");
}

static void nothing_stands_for_no_value(void **state) {
    (void)state;
    refuses("state:\n", "1:7: state has no value; leave the line out for the default\n");
    refuses("state: ~\n", "1:8: state has no value; leave the line out for the default\n");
    refuses("state: null\n", "1:8: state has no value; leave the line out for the default\n");
    refuses("state: \"a\\nb\"\n", "1:8: state has a control character\n");
    refuses("state: \"a\\0b\"\n", "1:8: state has a control character\n");
    refuses("state: !!binary aGk=\n", "1:8: state has a tag; none is known here\n");
}

static void what_is_no_yaml_has_a_place(void **state) {
    struct parsed p;

    (void)state;
    refuses("tls:\n\tcert: a\n", "2:1: a tab in the indentation: YAML takes blanks only (while "
                                 "scanning for the next token)\n");
    refuses("- a\n- b\n", "1:1: the file is a map (key: value), not a list\n");
    refuses("interval: 1s\n---\ninterval: 2s\n",
            "3:1: a second document begins here; there may be one only\n");
    parse(&p, "hosts: [a, b\ninterval: 1s\n");
    assert_int_equal(p.r, -EINVAL);
    says(&p, "plimsoll.yaml:2:");
    done(&p);
    parse(&p, "interval: 1s\nstate: \xff\n");
    assert_int_equal(p.r, -EINVAL);
    says(&p, "plimsoll.yaml:2:8: ");
    done(&p);
}

static void aliases_do_not_explode(void **state) {
    struct buf text;
    struct parsed p;

    (void)state;
    parse(&p, "remote_write:\n"
              "  - &one {url: http://a/, labels: &l {x: y}}\n"
              "  - {url: http://b/, labels: *l}\n"
              "  - *one\n");
    assert_int_equal(p.r, 0);
    assert_int_equal(p.c.remotes, 3);
    assert_string_equal(p.c.remote[1].label_value[0], "y");
    assert_string_equal(p.c.remote[2].url, "http://a/");
    done(&p);

    buf_init(&text, 1 << 20); /* lists of lists of lists: ten to the power of twenty */
    buf_add(&text, STR("rules:\n- &a0 [x]\n"));
    for (unsigned i = 1; i < 20; i++) {
        buf_add_format(&text, "- &a%u [", i);
        for (unsigned k = 0; k < 10; k++)
            buf_add_format(&text, "%s*a%u", k ? ", " : "", i - 1);
        buf_add(&text, STR("]\n"));
    }
    buf_add_char(&text, '\0');
    parse(&p, text.p);
    assert_int_equal(p.r, -EINVAL); /* a glob is no list */
    done(&p);
    refuses("guards: &a [*a]", "1:9: a guard is a map (key: value), not a list\n");
    buf_done(&text);
}

static void depth_and_size_are_bounded(void **state) {
    struct parsed p;
    char *text = calloc(1, YAML_BYTES + 2);

    (void)state;
    assert_non_null(text);
    memset(text, '[', YAML_BYTES);
    parse(&p, text);
    assert_int_equal(p.r, -EINVAL);
    says(&p, ":1:33: more than 32 levels deep\n");
    done(&p);
    memset(text, '#', YAML_BYTES + 1);
    parse(&p, text);
    assert_int_equal(p.r, -EINVAL);
    says(&p, "larger than 256 KiB");
    done(&p);
    free(text);
}

static void later_keys_are_a_warning(void **state) {
    struct parsed p;

    (void)state;
    parse(&p, "rules: [/etc/plimsoll/rules.d/*.yaml]\n");
    assert_int_equal(p.r, 0);
    says(&p, ":1:8: warning: rules have no effect yet");
    done(&p);
    refuses("rules: all\n",
            "1:8: rules is a list, [a, b] or lines that begin with '- ', not a text\n");
}

static void a_guard_is_taken_whole(void **state) {
    const struct config_guard *g;
    struct parsed p;
    const char *at = NULL;

    (void)state;
    parse(&p, "guards:\n"
              "  - name: web\n"
              "    match: {name: 'web-*', image: '*/web:*', label: {tier: front}, cgroup: '/d/*',\n"
              "            unit: u, namespace: n, pod: p}\n"
              "    at: [80%, 87.5%]\n"
              "    do: [notify, gc, kill]\n"
              "    inject: true\n"
              "    dry_run: true\n"
              "    oom_hold: true\n"
              "    kill_init: true\n"
              "    leave_high: true\n"
              "    cooldown: 500ms\n"
              "    max_per_hour: 7\n"
              "    max_kills_per_hour: 3\n"
              "    grace: 2s\n"
              "    deadline: 3s\n"
              "    lend: 32M\n"
              "    go_limit: 90%\n"
              "    hook: [/bin/tell, 'a b']\n"
              "    protect: [sshd, 'post*']\n"
              "    prefer: [worker]\n"
              "  - {match: {cgroup: '**'}, at: '100M, 200M', do: 'notify, gc'}\n");
    if (p.r != 0 || p.errors.n > 0)
        fail_msg("%.*s", STR_ARG(buf_str(&p.errors)));
    assert_int_equal(p.c.guards, 2);
    g = p.c.guard[0];
    assert_string_equal(g->policy.name, "web");
    assert_string_equal(g->match.glob[GUARDMATCH_NAME], "web-*");
    assert_string_equal(g->match.glob[GUARDMATCH_IMAGE], "*/web:*");
    assert_string_equal(g->match.glob[GUARDMATCH_CGROUP], "/d/*");
    assert_string_equal(g->match.glob[GUARDMATCH_UNIT], "u");
    assert_string_equal(g->match.glob[GUARDMATCH_NAMESPACE], "n");
    assert_string_equal(g->match.glob[GUARDMATCH_POD], "p");
    assert_int_equal(g->match.labels, 1);
    assert_string_equal(g->match.label[0].key, "tier");
    assert_string_equal(g->match.label[0].glob, "front");
    assert_int_equal(g->policy.marks, 2);
    assert_true(g->policy.mark[1].value == 8750 && !g->policy.mark[1].bytes);
    assert_int_equal(g->policy.actions, 3);
    assert_int_equal(g->policy.action[2], ACTION_KILL);
    assert_true(g->policy.inject && g->policy.dry_run && g->policy.oom_hold && g->policy.kill_init);
    assert_true(g->policy.leave_high);
    assert_int_equal(g->policy.cooldown_us, 500000);
    assert_int_equal(g->policy.per_hour, 7);
    assert_int_equal(g->policy.kills_per_hour, 3);
    assert_int_equal(g->policy.grace_us, 2000000);
    assert_int_equal(g->policy.deadline_us, 3000000);
    assert_int_equal(g->policy.lend, 32 << 20);
    assert_int_equal(g->policy.rt_limit, 9000);
    assert_true(policy_next_text(g->policy.hook, &at));
    assert_string_equal(at, "/bin/tell");
    assert_true(policy_next_text(g->policy.hook, &at));
    assert_string_equal(at, "a b");
    assert_false(policy_next_text(g->policy.hook, &at));
    assert_true(g->hook_place.line == 19 && g->hook_place.column == 11);
    assert_string_equal(g->policy.protect, "sshd");
    assert_string_equal(g->policy.prefer, "worker");
    assert_string_equal(p.c.guard[1]->policy.name, "guards[2]");
    assert_true(p.c.guard[1]->policy.mark[1].bytes);
    assert_true(p.c.guard[1]->policy.mark[1].value == 200 << 20);
    done(&p);
}

#define GUARD(rest) "guards: [{match: {name: a}, " rest "}]"

static void a_guard_that_would_not_do_what_it_says_is_refused(void **state) {
    (void)state;
    refuses("guards: [{at: 90%, do: kill}]",
            "1:10: a guard needs match: with name, image, label, cgroup, unit, namespace or pod\n");
    refuses("guards: [{match: {}, at: 90%, do: kill}]",
            "1:10: a guard needs match: with name, image, label, cgroup, unit, namespace or pod\n");
    refuses(GUARD("do: kill"), "1:10: a guard needs a mark: at 90%, say\n");
    refuses(GUARD("at: 90%"), "1:10: a guard needs an action: notify, gc ...\n");
    refuses(GUARD("at: 90%, do: nofity"),
            "1:42: unknown action \"nofity\", did you mean \"notify\"?\n");
    refuses(GUARD("at: [80%, 110%], do: kill"), "1:39: '110%' is no mark: from 0.01% to 99.99%\n");
    refuses(GUARD("at: [90%, 80%], do: [gc, kill]"),
            "1:10: marks must rise: mark 2 is not above mark 1\n");
    refuses(GUARD("at: 90%, do: [kill, gc]"),
            "1:10: nothing can follow 'kill': 'gc' would never come\n");
    refuses(GUARD("at: 90%, do: notify, hook: [tell]"),
            "1:56: hook is a list whose first word is the program's whole path, "
            "['/usr/local/bin/tell', 'web'], not 'tell': no shell, no PATH\n");
    refuses(GUARD("at: 90%, do: notify, hook: /bin/tell"),
            "1:56: hook is a list, [a, b] or lines that begin with '- ', not a text\n");
    refuses(GUARD("at: 90%, do: kill, hook: [/bin/tell]"),
            "1:10: a hook is run by notify, which do: does not have\n");
    refuses(GUARD("at: 90%, do: kill, go_limit: 100M"),
            "1:58: go_limit is a share of the limit from 10% on, as 90%, not '100M'\n");
    refuses(GUARD("at: 90%, do: gc, go_limit: 80%"),
            "1:10: go_limit writes into a runtime's memory: add inject: true\n");
    refuses(GUARD("at: 90%, do: kill, cooldown: 0"),
            "1:58: cooldown may be 100ms to 1h, not '0'\n");
    refuses(GUARD("at: 90%, do: term, grace: 61m"), "1:55: grace may be 0s to 1h, not '61m'\n");
    refuses(GUARD("at: 90%, do: term, deadline: 61m"),
            "1:58: deadline may be 100ms to 1h, not '61m'\n");
    refuses("guards: [{match: {nam: a}, at: 90%, do: kill}]",
            "1:19: unknown key \"nam\", did you mean \"name\"?\n");
    refuses("guards: [{match: {cgroup: docker}, at: 90%, do: kill}]",
            "1:27: cgroup is a pattern for a path below the mount, as '/docker/*' or "
            "'**/web-*', not 'docker'\n");
    refuses("guards: [{match: {cgroup: /}, at: 90%, do: kill}]",
            "1:27: the top of all groups cannot be guarded\n");
    refuses("guards: [{match: {label: {a: 'x['}}, at: 90%, do: kill}]",
            "1:30: 'x[' has a '[' that is not closed\n");
    refuses("guards: [{name: a, match: {pod: a}, at: 90%, do: kill},\n"
            "         {name: a, match: {pod: b}, at: 90%, do: kill}]",
            "2:17: there is another guard \"a\"\n");
}

static void guards_and_their_texts_are_bounded(void **state) {
    struct parsed p;
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_add(&text, STR("guards:\n"));
    for (unsigned i = 0; i <= CONFIG_GUARDS; i++)
        buf_add_format(&text, "- {match: {name: a}, at: 90%%, do: kill}\n");
    buf_add_char(&text, '\0');
    parse(&p, text.p);
    assert_int_equal(p.r, -EINVAL);
    assert_int_equal(p.c.guards, CONFIG_GUARDS);
    says(&p, ":66:3: more than 64 guards");
    done(&p);
    buf_clear(&text);
    buf_add(&text, STR("guards: [{match: {name: a}, at: 90%, do: kill, protect: ["));
    for (unsigned i = 0; i < 600; i++)
        buf_add(&text, STR("x,"));
    buf_add(&text, STR("]}]"));
    buf_add_char(&text, '\0');
    parse(&p, text.p);
    assert_int_equal(p.r, -EINVAL);
    says(&p, "protect: longer than 1024 bytes in all");
    done(&p);
    buf_done(&text);
}

static void remote_writers_are_checked(void **state) {
    (void)state;
    refuses("remote_write: [{interval: 5s}]", "1:16: a remote writer needs a url\n");
    refuses("remote_write: [{url: ftp://a/}]",
            "1:22: url begins with http:// or https://, not 'ftp://a/'\n");
    refuses("remote_write: [{url: 'http://me:secret@a/'}]",
            "1:22: no password in a url: use username and password_file\n");
    refuses("remote_write: [{url: http:///x}]", "1:22: 'http:///x' is no url\n");
    refuses("remote_write: [{url: http://a, username: b}]",
            "1:16: username and password_file go together\n");
    refuses("remote_write: [{url: http://a, username: b, password_file: /c, token_file: /d}]",
            "1:16: token_file and username exclude each other\n");
    refuses("remote_write: [{url: http://a, labels: {__name__: b}}]",
            "1:41: a label's name has letters, digits and _, and does not begin with a digit or "
            "__: not '__name__'\n");
    refuses("remote_write: [{url: http://a, labels: {7a: b}}]",
            "1:41: a label's name has letters, digits and _, and does not begin with a digit or "
            "__: not '7a'\n");
    refuses("remote_write: {url: http://a}",
            "1:15: remote_write is a list, [a, b] or lines that begin with '- ', not a map\n");
    refuses("remote_write: [a, a, a, a, a, a, a, a, a]",
            "1:16: a remote writer is a map (key: value), not a text\n"
            "1:19: a remote writer is a map (key: value), not a text\n"
            "1:22: a remote writer is a map (key: value), not a text\n"
            "1:25: a remote writer is a map (key: value), not a text\n"
            "1:28: a remote writer is a map (key: value), not a text\n"
            "1:31: a remote writer is a map (key: value), not a text\n"
            "1:34: a remote writer is a map (key: value), not a text\n"
            "1:37: a remote writer is a map (key: value), not a text\n"
            "1:40: more than 8 remote writers\n");
}

static void listen_is_taken_apart(void **state) {
    static const struct {
        const char *listen, *address;
        unsigned port;
        bool loopback;
    } good[] = {
        {"127.0.0.1:7533", "127.0.0.1", 7533, true},
        {"localhost:0", "127.0.0.1", 0, true},
        {"[::1]:65535", "::1", 65535, true},
        {"0.0.0.0:80", "0.0.0.0", 80, false},
        {"127.9.9.9:1", "127.9.9.9", 1, true},
        {"[::]:80", "::", 80, false},
        {"[fe80::1]:80", "fe80::1", 80, false},
        {"10.0.0.1:80", "10.0.0.1", 80, false},
        {"[::ffff:1.2.3.4]:9", "::ffff:1.2.3.4", 9, false},
    };
    static const char *const bad[] = {
        "",       "7533",  ":7533",        "127.0.0.1", "127.0.0.1:",    "127.0.0.1:65536",
        "::1:80", "[::1]", "[::1:80",      "host:80",   "127.0.0.1:+80", "unix:",
        "unix:a", "on",    "[1.2.3.4]:80", "1.2.3:80",  "127.0.0.1:80 ", "http://127.0.0.1:80",
    };
    struct config_listen found;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(config_listen_parse(good[i].listen, &found, &err), 0);
        assert_int_equal(found.kind, CONFIG_LISTEN_TCP);
        assert_true(str_eq(found.address, str_of(good[i].address)));
        assert_int_equal(found.port, good[i].port);
        assert_int_equal(found.loopback, good[i].loopback);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (config_listen_parse(bad[i], &found, &err) != -EINVAL)
            fail_msg("'%s' is taken", bad[i]);
    assert_int_equal(config_listen_parse("off", &found, &err), 0);
    assert_int_equal(found.kind, CONFIG_LISTEN_OFF);
    assert_int_equal(config_listen_parse("unix:/run/x", &found, &err), 0);
    assert_int_equal(found.kind, CONFIG_LISTEN_UNIX);
    assert_true(str_eq(found.path, STR("/run/x")));
}

/* A directory with files to name, removed at the end. */
static char folder[] = "/tmp/plimsoll-config-XXXXXX";

static const char *file(const char *name, const char *text, mode_t mode) {
    static char path[100];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    static const char *const names[] = {"a.yaml", "token", "key", "cert"};
    char path[100];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

static int load(const char *path, struct parsed *p) {
    config_defaults(&p->c);
    buf_init(&p->errors, 1 << 20);
    p->r = config_load(&p->c, path, &p->errors);
    return p->r;
}

static void a_file_that_others_may_write_is_refused(void **state) {
    struct parsed p;
    const char *path;

    (void)state;
    assert_int_equal(load(file("a.yaml", "interval: 2s\n", 0644), &p), 0);
    assert_int_equal(p.c.interval_ms, 2000);
    done(&p);
    assert_int_equal(load(file("a.yaml", "interval: 2s\n", 0646), &p), -EPERM);
    says(&p, "a.yaml:1:1: refused: others");
    assert_int_equal(p.c.interval_ms, 1000);
    done(&p);
    assert_int_equal(load("/nonexistent/a.yaml", &p), -ENOENT);
    basetest_holds(&p.errors, "/nonexistent/a.yaml:1:1: No such file or directory\n");
    done(&p);
    assert_int_equal(load("/tmp", &p), -EINVAL);
    done(&p);
    if (geteuid() != 0)
        return;
    path = file("a.yaml", "interval: 2s\n", 0644);
    assert_int_equal(chown(path, 12345, 0), 0);
    assert_int_equal(load(path, &p), -EPERM);
    says(&p, "belongs neither to root");
    done(&p);
    path = file("a.yaml", "interval: 2s\n", 0664);
    assert_int_equal(load(path, &p), 0); /* group root may */
    done(&p);
    assert_int_equal(chown(path, 0, 12345), 0);
    assert_int_equal(chmod(path, 0664), 0);
    assert_int_equal(load(path, &p), -EPERM);
    done(&p);
}

/* The lines of config_check after a text was parsed. */
static int check(struct parsed *p, const char *text) {
    int r;

    parse(p, text);
    assert_int_equal(p->r, 0);
    r = config_check(&p->c, &p->errors);
    return r;
}

static void other_addresses_need_a_token(void **state) {
    struct parsed p;
    char text[200];

    (void)state;
    assert_int_equal(check(&p, "listen: 127.0.0.1:1\n"), 0);
    basetest_holds(&p.errors, "");
    done(&p);
    assert_int_equal(check(&p, "listen: unix:/run/x\n"), 0);
    done(&p);
    assert_int_equal(check(&p, "listen: 0.0.0.0:7533\n"), -EINVAL);
    says(&p, "plimsoll.yaml:1:9: 0.0.0.0:7533 can be reached from other machines, "
             "so it needs a token: set token_file");
    done(&p);
    snprintf(text, sizeof(text), "listen: 0.0.0.0:7533\ntoken_file: %s\n",
             file("token", "0123456789abcdef\n", 0600));
    assert_int_equal(check(&p, text), 0);
    basetest_holds(&p.errors, "");
    done(&p);
    (void)file("token", "0123456789abcdef\n", 0644);
    assert_int_equal(check(&p, text), 0);
    says(&p, "plimsoll.yaml:2:13: warning: others may read");
    done(&p);
    (void)file("token", "short\n", 0600);
    assert_int_equal(check(&p, text), -EINVAL);
    says(&p, "plimsoll.yaml:2:13: the first line of '");
    says(&p, "shorter than 16 bytes");
    done(&p);
    (void)file("token", "0123456789 abcdefgh\n", 0600);
    assert_int_equal(check(&p, text), -EINVAL);
    done(&p);
    assert_int_equal(check(&p, "token_file: /nonexistent/token\n"), -EINVAL);
    basetest_holds(&p.errors, "/etc/plimsoll/plimsoll.yaml:1:13: cannot read "
                              "'/nonexistent/token': No such file or directory\n");
    done(&p);
}

/* That config_check has these lines alone, after the file's name and a colon. */
static void check_tells(const char *text, const char *lines) {
    struct parsed p;
    struct buf wanted;
    struct str rest = str_of(lines), line;

    assert_int_equal(check(&p, text), -EINVAL);
    buf_init(&wanted, 1 << 20);
    while (str_cut(&rest, '\n', &line)) {
        buf_add(&wanted, NAME);
        buf_add_format(&wanted, ":%.*s\n", STR_ARG(line));
    }
    if (!str_eq(buf_str(&p.errors), buf_str(&wanted)))
        fail_msg("'%s' gives\n%.*s", text, STR_ARG(buf_str(&p.errors)));
    buf_done(&wanted);
    done(&p);
}

static void what_demands_something_else_is_checked(void **state) {
    struct parsed p;
    char text[300];

    (void)state;
    check_tells("tls: {cert: /nonexistent/c}\n",
                "1:13: tls: cert and key go together\n"
                "1:13: cannot read '/nonexistent/c': No such file or directory\n");
    check_tells("tls:\n  key: /nonexistent/k\n",
                "2:8: tls: cert and key go together\n"
                "2:8: cannot read '/nonexistent/k': No such file or directory\n");
    (void)file("cert", "-----BEGIN CERTIFICATE-----\n", 0644);
    (void)file("key", "-----BEGIN PRIVATE KEY-----\n", 0600);
    snprintf(text, sizeof(text), "tls: {cert: %s/cert, key: %s/key}\n", folder, folder);
    assert_int_equal(check(&p, text), 0);
    basetest_holds(&p.errors, "");
    done(&p);
    (void)file("key", "-----BEGIN PRIVATE KEY-----\n", 0644);
    snprintf(text, sizeof(text), "tls:\n  cert: %s/cert\n  key: %s/key\n", folder, folder);
    assert_int_equal(check(&p, text), 0);
    says(&p, "plimsoll.yaml:3:8: warning: others may read");
    done(&p);
}

static void of_two_values_the_one_that_is_no_default_is_told(void **state) {
    (void)state;
    check_tells("interval: 1s\nfastest: 2s\n", "2:10: fastest is longer than interval\n");
    check_tells("fastest: 2s\n", "1:10: fastest is longer than interval\n");
    check_tells("retention: {raw: 60d}\n", "1:18: retention: raw may not be longer than minute\n");
    check_tells("retention:\n  minute: 2h\n",
                "2:11: retention: raw may not be longer than minute\n");
    check_tells("retention:\n  raw: 10d\n  minute: 9d\n  hour: 8d\n",
                "2:8: retention: raw may not be longer than minute\n"
                "3:11: retention: minute may not be longer than hour\n");
    check_tells("retention: {hour: 29d}\n",
                "1:19: retention: minute may not be longer than hour\n");
}

static void each_remote_has_places_of_its_own(void **state) {
    (void)state;
    check_tells("remote_write:\n"
                "  - url: http://a/\n"
                "    ca_file: /nonexistent/0\n"
                "  - {url: http://b/}\n"
                "  - url: http://c/\n"
                "    username: me\n"
                "    password_file: /nonexistent/1\n"
                "    ca_file: /nonexistent/2\n"
                "  - {url: http://d/, token_file: /nonexistent/3}\n",
                "3:14: cannot read '/nonexistent/0': No such file or directory\n"
                "7:20: cannot read '/nonexistent/1': No such file or directory\n"
                "8:14: cannot read '/nonexistent/2': No such file or directory\n"
                "9:34: cannot read '/nonexistent/3': No such file or directory\n");
}

static void a_long_socket_is_told(void **state) {
    struct buf text;

    (void)state;
    buf_init(&text, 1000);
    buf_add(&text, STR("state: a\nsocket: /"));
    buf_add_fill(&text, 'x', 107);
    buf_add_char(&text, '\0');
    check_tells(text.p, "2:9: socket is an absolute path of at most 107 bytes\n");
    buf_done(&text);
}

static void a_pressure_socket_is_the_guards(void **state) {
    struct parsed p;

    (void)state;
    parse(&p, "pressure_socket: p.sock\n" GUARD("at: 90%, do: notify"));
    assert_int_equal(p.r, 0);
    assert_string_equal(p.c.pressure_socket, "/etc/plimsoll/p.sock");
    assert_int_equal(config_check(&p.c, &p.errors), 0);
    done(&p);
    check_tells("pressure_socket: /run/p\n",
                "1:18: pressure_socket is where guards tell programs: there are no guards\n");
    check_tells("pressure_socket: /run/p\n" GUARD("at: 90%, do: gc"),
                "1:18: pressure_socket is for notify, which do: of no guard has: nobody would be "
                "told\n");
    check_tells("pressure_socket: /run/p\nsocket: /run/p\n" GUARD("at: 90%, do: notify"),
                "1:18: pressure_socket and socket have the same path\n");
}

/* What the command line gave is not the file's fault; nor is a default. */
static void values_of_options_and_defaults_have_no_line(void **state) {
    struct parsed p;

    (void)state;
    parse(&p, "listen: 10.0.0.1:80\n");
    free(p.c.listen);
    p.c.listen = strdup("0.0.0.0:81");
    config_from_option(&p.c, "listen", "--listen");
    assert_int_equal(config_check(&p.c, &p.errors), -EINVAL);
    assert_memory_equal(p.errors.p, "--listen: 0.0.0.0:81 can", 24);
    buf_clear(&p.errors);
    free(p.c.listen);
    p.c.listen = strdup("nowhere\n");
    assert_int_equal(config_check(&p.c, &p.errors), -EINVAL);
    assert_memory_equal(p.errors.p, "--listen: listen is ADDRESS:PORT", 32);
    assert_ptr_equal(memchr(p.errors.p, '\n', p.errors.n), p.errors.p + p.errors.n - 1);
    done(&p);
    parse(&p, "");
    free(p.c.state);
    p.c.state = strdup("var");
    assert_int_equal(config_check(&p.c, &p.errors), -EINVAL);
    basetest_holds(&p.errors, "state: state is an absolute path\n");
    done(&p);
}

/* A file of the source tree, whole; the caller frees it. */
static char *source(const char *name) {
    char *text = NULL;
    size_t n = 0;
    int fd = open(name, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || file_load_fd(fd, 1 << 20, &text, &n) < 0)
        fail_msg("cannot read %s", name);
    close(fd);
    return text;
}

/* The next word of the manual between asterisks before a colon or comma; backslashes are its
 * escapes. */
static bool next_manual_key(struct str *rest, char *key, size_t *depth) {
    struct str line, name;

    while (str_cut(rest, '\n', &line)) {
        size_t n = 0;

        *depth = 0;
        while (str_skip(&line, STR("\t")))
            ++*depth;
        if (!str_skip(&line, STR("*")) || !str_cut(&line, '*', &name) || line.n == 0 ||
            (line.p[0] != ':' && line.p[0] != ','))
            continue;
        for (size_t i = 0; i < name.n && n < 60; i++)
            if (name.p[i] != '\\')
                key[n++] = name.p[i];
        key[n] = '\0';
        return true;
    }
    return false;
}

static void the_manual_has_every_key_and_no_other(void **state) {
    char *text = source("man/plimsoll.yaml.5.scd");
    struct str rest = str_of(text);
    char key[64], section[2][64] = {"", ""};
    const struct config_key *k;
    size_t depth, i = 0;

    (void)state;
    while (next_manual_key(&rest, key, &depth)) {
        k = config_key(i++);
        assert_non_null(k);
        assert_string_equal(key, k->name);
        assert_in_range(depth, 0, 2);
        assert_string_equal(depth == 0 ? "" : section[depth - 1], k->section);
        if (depth < 2)
            memcpy(section[depth], key, sizeof(section[depth]));
    }
    assert_null(config_key(i));
    free(text);
}

/* The file that is installed says nothing, and its "#key: value" lines are the defaults. */
static void the_packaged_file_is_the_defaults(void **state) {
    char *text = source("packaging/plimsoll.yaml");
    struct str rest = str_of(text), line;
    struct parsed p;
    struct config defaults;
    struct buf shown;
    unsigned settings = 0;

    (void)state;
    parse(&p, text);
    assert_int_equal(p.r, 0);
    assert_int_equal(p.errors.n, 0);
    done(&p);
    buf_init(&shown, 1 << 20);
    while (str_cut(&rest, '\n', &line)) {
        bool nested = line.n > 3 && str_starts(line, STR("#  ")) && line.p[3] != ' ';
        bool setting = nested || (line.n > 1 && line.p[0] == '#' && line.p[1] != ' ');

        if (setting && str_find(line, ':') > 0) {
            buf_add(&shown, str_from(line, 1));
            settings++;
        }
        buf_add_char(&shown, '\n');
    }
    buf_add_char(&shown, '\0');
    assert_true(settings >= 12);
    parse(&p, shown.p);
    if (p.r != 0 || p.errors.n > 0)
        fail_msg("%.*s", STR_ARG(buf_str(&p.errors)));
    config_defaults(&defaults);
    assert_string_equal(p.c.listen, defaults.listen);
    assert_int_equal(p.c.interval_ms, defaults.interval_ms);
    assert_int_equal(p.c.fastest_ms, defaults.fastest_ms);
    assert_int_equal(p.c.adaptive, defaults.adaptive);
    assert_int_equal(p.c.targets, defaults.targets);
    assert_int_equal(p.c.processes, defaults.processes);
    assert_int_equal(p.c.cadvisor_names, defaults.cadvisor_names);
    assert_int_equal(p.c.show_commands, defaults.show_commands);
    assert_memory_equal(&p.c.store, &defaults.store, sizeof(defaults.store));
    config_done(&defaults);
    done(&p);
    buf_done(&shown);
    free(text);
}

static void every_key_has_words_for_the_manual(void **state) {
    const struct config_key *k;
    size_t n = 0;

    (void)state;
    for (; (k = config_key(n)); n++) {
        assert_true(k->name[0] && k->type[0] && k->help[0]);
        assert_true(strlen(k->help) < 80);
    }
    assert_true(n >= 28);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_the_defaults),
        cmocka_unit_test(every_key_is_taken),
        cmocka_unit_test(a_wrong_key_has_a_place_and_a_suggestion),
        cmocka_unit_test(all_errors_are_told),
        cmocka_unit_test(a_thousand_errors_are_a_hundred_lines),
        cmocka_unit_test(values_have_ranges),
        cmocka_unit_test(a_key_stands_once),
        cmocka_unit_test(nothing_stands_for_no_value),
        cmocka_unit_test(what_is_no_yaml_has_a_place),
        cmocka_unit_test(aliases_do_not_explode),
        cmocka_unit_test(depth_and_size_are_bounded),
        cmocka_unit_test(later_keys_are_a_warning),
        cmocka_unit_test(a_guard_is_taken_whole),
        cmocka_unit_test(a_guard_that_would_not_do_what_it_says_is_refused),
        cmocka_unit_test(guards_and_their_texts_are_bounded),
        cmocka_unit_test(remote_writers_are_checked),
        cmocka_unit_test(listen_is_taken_apart),
        cmocka_unit_test(a_file_that_others_may_write_is_refused),
        cmocka_unit_test(other_addresses_need_a_token),
        cmocka_unit_test(what_demands_something_else_is_checked),
        cmocka_unit_test(of_two_values_the_one_that_is_no_default_is_told),
        cmocka_unit_test(each_remote_has_places_of_its_own),
        cmocka_unit_test(a_long_socket_is_told),
        cmocka_unit_test(a_pressure_socket_is_the_guards),
        cmocka_unit_test(values_of_options_and_defaults_have_no_line),
        cmocka_unit_test(every_key_has_words_for_the_manual),
        cmocka_unit_test(the_manual_has_every_key_and_no_other),
        cmocka_unit_test(the_packaged_file_is_the_defaults),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
