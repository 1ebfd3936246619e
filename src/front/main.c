/* main.c - the front's executable: plimsoll-front, started by `plimsoll agent` and nobody else. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "front/front.h"
#include "front/guardsout.h"
#include "front/settings.h"

enum { CODE_CONFIG = 2, CODE_START = 3, COLLECTOR_FD = 3, LIFE_FD = 4 };

int main(int argc, char **argv) {
    struct front_options options = {
        .collector = COLLECTOR_FD, .life = LIFE_FD, .version = PLIMSOLL_VERSION};
    struct settings settings;
    struct err err = {0};
    int r;

    signal(SIGPIPE, SIG_IGN);
    r = settings_read(&settings, argc, argv);
    if (r < 0) {
        settings_done(&settings);
        return CODE_CONFIG;
    }
    log_open("front", !settings.foreground);
    if (settings.guards) {
        r = guardsout_write(&settings.config, settings.config_path, STDOUT_FILENO);
        settings_done(&settings);
        return r < 0 ? CODE_START : 0;
    }
    if (fcntl(COLLECTOR_FD, F_GETFD) < 0 || fcntl(LIFE_FD, F_GETFD) < 0) {
        fprintf(stderr, "plimsoll-front: is started by `plimsoll agent`, not by hand\n");
        settings_done(&settings);
        return CODE_CONFIG;
    }
    options.config = &settings.config;
    r = front_run(&options, &err);
    if (r < 0)
        log_line(LOG_BAD, "%s", err.text);
    settings_done(&settings);
    return r < 0 ? CODE_START : 0;
}
