#include "base/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"

int beside_find(const char *name, char *out, size_t size, struct err *err) {
    static const char *const folders[] = {"", "/../libexec/plimsoll"};
    char own[4096];
    struct str path;
    int r = file_link_at(AT_FDCWD, "/proc/self/exe", own, sizeof(own), &path);

    if (r < 0)
        return err_set(err, r, "cannot tell where plimsoll itself is:");
    path.n = (size_t)(str_rfind(path, '/') > 0 ? str_rfind(path, '/') : 0);
    for (size_t i = 0; i < ARRAY_N(folders); i++) {
        int n = snprintf(out, size, "%.*s%s/%s", STR_ARG(path), folders[i], name);

        if (n > 0 && (size_t)n < size && access(out, X_OK) == 0)
            return 0;
    }
    return err_set(err, -ENOENT,
                   "cannot find '%s' beside plimsoll or in ../libexec/plimsoll; "
                   "the static build does not have it",
                   name);
}
