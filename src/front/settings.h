/* settings.h - the configuration and the command line of the agent's own executables, joined.
 *
 * What the command line says wins. Without --config the default file is read if it is there.
 */
#pragma once
#include "front/config.h"

struct settings {
    struct config config;
    char *config_path; /* that was read; NULL: none */
    bool foreground, guards;
};

/* 0; -EINVAL, when everything that is wrong has been printed on stderr. settings_done in either
 * case. */
int settings_read(struct settings *s, int argc, char **argv);
void settings_done(struct settings *s);
