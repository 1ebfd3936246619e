#include "front/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { ERRORS_MAX = 65536, PATH = 4096 };

struct words {
    const char *config, *state, *listen, *socket;
};

static int bad(const char *what, const char *word) {
    fprintf(stderr, "plimsoll: %s: '%s'\n", what, word);
    return -EINVAL;
}

static int parse(struct settings *s, struct words *w, int argc, char **argv) {
    const struct {
        const char *name;
        const char **into;
    } known[] = {{"--config", &w->config},
                 {"--state", &w->state},
                 {"--listen", &w->listen},
                 {"--socket", &w->socket}};

    for (int i = 1; i < argc; i++) {
        size_t k = 0;

        if (strcmp(argv[i], "--foreground") == 0) {
            s->foreground = true;
            continue;
        }
        if (strcmp(argv[i], "--guards") == 0) {
            s->guards = true;
            continue;
        }
        while (k < ARRAY_N(known) && strcmp(argv[i], known[k].name) != 0)
            k++;
        if (k == ARRAY_N(known))
            return bad("unknown option", argv[i]);
        if (i + 1 == argc)
            return bad("this option needs an argument", argv[i]);
        *known[k].into = argv[++i];
    }
    return 0;
}

static char *default_path(void) {
    const char *home = getenv("XDG_CONFIG_HOME");
    char path[PATH];

    if (geteuid() == 0) {
        snprintf(path, sizeof(path), "/etc/plimsoll/plimsoll.yaml");
    } else if (home && *home == '/') {
        snprintf(path, sizeof(path), "%s/plimsoll/plimsoll.yaml", home);
    } else {
        home = getenv("HOME");
        snprintf(path, sizeof(path), "%s/.config/plimsoll/plimsoll.yaml", home ? home : "");
    }
    return access(path, F_OK) == 0 ? strdup(path) : NULL;
}

static int replace(struct config *c, const char *key, const char *option, char **into,
                   const char *with) {
    char *copy;

    if (!with)
        return 0;
    copy = strdup(with);
    if (!copy)
        return -ENOMEM;
    free(*into);
    *into = copy;
    config_from_option(c, key, option);
    return 0;
}

static int take_words(struct config *c, const struct words *w) {
    int r = replace(c, "state", "--state", &c->state, w->state);

    if (r == 0)
        r = replace(c, "listen", "--listen", &c->listen, w->listen);
    return r < 0 ? r : replace(c, "socket", "--socket", &c->socket, w->socket);
}

int settings_read(struct settings *s, int argc, char **argv) {
    struct words words = {0};
    struct buf errors;
    int r;

    *s = (struct settings){0};
    config_defaults(&s->config);
    r = parse(s, &words, argc, argv);
    if (r < 0)
        return r;
    s->config_path = words.config ? strdup(words.config) : default_path();
    buf_init(&errors, ERRORS_MAX);
    if (s->config_path)
        r = config_load(&s->config, s->config_path, &errors);
    if (r == 0 || r == -EINVAL) { /* all that is wrong is told at once */
        int taken = take_words(&s->config, &words);
        int checked = taken < 0 ? taken : config_check(&s->config, &errors);

        r = r < 0 ? r : checked;
    }
    if (errors.n > 0)
        (void)buf_flush(&errors, STDERR_FILENO);
    buf_done(&errors);
    return r;
}

void settings_done(struct settings *s) {
    config_done(&s->config);
    free(s->config_path);
}
