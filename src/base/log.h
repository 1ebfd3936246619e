/* log.h - lines for whoever runs a daemon: on stderr, one line a thing, made visible as in tables
 * (text.h): names in them may be anybody's.
 *
 * Under a journal a line begins with "<N>" (syslog's priority), else with the program's name. The
 * same line is not said more than once a minute; what was left out is counted and said then.
 */
#pragma once

enum log_level { LOG_BAD = 3, LOG_WARN = 4, LOG_NOTE = 5, LOG_INFO = 6 };

/* name: "agent", "collector", "front"; borrowed. */
void log_open(const char *name, int journal);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
