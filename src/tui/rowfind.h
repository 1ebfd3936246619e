/* rowfind.h - which row a word means: what is left of the rules of a TARGET where there are rows
 * alone, and no kernel to be asked.
 */
#pragma once
#include "tui/source.h"

/* A key or a path, a container's name, pod/container or namespace/pod/container, any other name
 * ("ssh" for "ssh.service" too), the head of an id; what is on the host goes before what is inside
 * of containers. 0; -ENOENT; -ENOTUNIQ: the text lists whom it may mean. */
int rowfind_word(const struct tui_source *source, struct str word, const struct tui_row **out,
                 struct err *err);

/* The row of a group, or with `above` else of the nearest one above it; NULL: there is none. */
const struct tui_row *rowfind_path(const struct tui_source *source, struct str path, bool above);

/* The one row of that very name; NULL: there is none, or several. */
const struct tui_row *rowfind_name(const struct tui_source *source, struct str name);
