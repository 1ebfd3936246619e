/* configkeys.h - what each key of plimsoll.yaml takes and where it goes: one table.
 */
#pragma once
#include "front/config.h"
#include "front/yamldoc.h"

/* Takes the document over into *c; what is wrong is told in `d`. */
void configkeys_read(struct yamldoc *d, struct config *c);
