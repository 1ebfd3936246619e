/* flamepage.h - the page of a flame graph around its data: flame.html, .css and .js, embedded by
 * tools/embed_flame.
 */
#pragma once
#include "base/str.h"

extern const struct str flamepage_before, flamepage_after;
