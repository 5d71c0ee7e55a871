
#include "fuzz.h"

#include <dirent.h>


/* replay FOLDER: every file of it is given to the target */

static char  path[2 * NGX_MAX_PATH];


/* the sanitizers abort too, so that the handler names the file */

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);


const char *
__asan_default_options(void)
{
    return "abort_on_error=1";
}


const char *
__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}


static void
replay_aborted(int signo)
{
    if (write(2, path, strlen(path)) > 0) {
        (void) write(2, ": failed\n", sizeof(": failed\n") - 1);
    }

    _exit(1);
}


static void
replay_file(void)
{
    FILE         *f;
    size_t        size;
    static char   buf[1024 * 1024];

    f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(2);
    }

    size = fread(buf, 1, sizeof(buf), f);
    (void) fclose(f);

    fuzz_assert(LLVMFuzzerTestOneInput((uint8_t *) buf, size) == 0);
}


int
main(int argc, char **argv)
{
    int             n;
    DIR            *dir;
    struct dirent  *entry;

    dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (dir == NULL) {
        (void) fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }

    (void) signal(SIGABRT, replay_aborted);

    for (n = 0; (entry = readdir(dir)) != NULL; /* void */) {

        if (entry->d_name[0] == '.') {
            continue;
        }

        (void) snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        replay_file();
        n++;
    }

    (void) closedir(dir);

    if (n == 0) {
        (void) fprintf(stderr, "%s: no files\n", argv[1]);
        return 2;
    }

    return 0;
}

