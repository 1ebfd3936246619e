/* banned.h - forced before every file that reads what somebody else wrote: these names do not
 * compile there. They accept signs, blanks, locales and overflow, or know no bound. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* glibc makes macros of these for clang with fortify. */
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf

#pragma GCC poison sscanf fscanf atoi atol atoll strtol strtoul strtoll strtoull strtod
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok strtok_r system popen
