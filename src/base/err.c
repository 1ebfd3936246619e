#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *format, ...) {
    va_list args;
    size_t used;

    if (!err)
        return code;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    used = strlen(err->text);
    if (used > 0 && err->text[used - 1] == ':' && code < 0)
        snprintf(err->text + used, sizeof(err->text) - used, " %s", strerror(-code));
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    err->code = code;
    return code;
}
