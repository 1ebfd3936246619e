/* logprefix.h - what readers of logs put before each line: compose ("web-1  | "), kubectl
 * ("[pod/web/app] ", "2026-11-21T12:00:00.5Z "), the files of container runtimes ("... stderr F "),
 * the journal ("Nov 21 12:00:00 host web[7]: "). Pure.
 */
#pragma once
#include "base/str.h"

/* A whole text that is one of them, or several; colours may be within. What only might be one (a
 * date of the program's own, a level, a sentence) is none. */
bool logprefix_is(struct str s);
