/* poison crash|hang|rave: copies standard input to standard output; where the word POISON is in it, it dies, waits or writes messages for ever. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char block[16 + 65536]; /* the end of the block before is kept in front, for a word that is cut in two */
    for (ssize_t n; (n = read(0, block + 16, 65536)) > 0;) {
        if (memmem(block, 16 + (size_t)n, "POISON", 6) != NULL) {
            if (argc > 1 && strcmp(argv[1], "hang") == 0)
                pause();
            while (argc > 1 && strcmp(argv[1], "rave") == 0)
                if (write(2, "raving\nraving\n", 14) < 0)
                    return 1;
            abort();
        }
        for (ssize_t at = 0, w; at < n; at += w)
            if ((w = write(1, block + 16 + at, (size_t)(n - at))) < 0)
                return 1;
        memmove(block, block + n, 16);
    }
    return 0;
}
