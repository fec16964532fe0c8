/* Preloaded: the process's wall clock is ahead of the machine's by the seconds in the file CLOCK_FILE, "+0000060".

   The file is mapped and read as one word at each question, so that a signal handler may ask for the time too: no lock, no
   memory of its own, no second look at a file that somebody writes. Monotonic clocks and waits are left alone. Compiled
   without headers, whose package is large. */

struct timespec { long seconds, nanoseconds; };
struct timeval { long seconds, microseconds; };

extern long syscall(long number, ...);
extern char *getenv(const char *name);
extern int open(const char *path, int flags, ...);
extern int close(int descriptor);
extern void *mmap(void *at, unsigned long length, int protection, int flags, int descriptor, long offset);

enum { O_RDONLY_CLOEXEC = 02000000, PROT_READ = 1, MAP_SHARED = 1, REALTIME = 0, REALTIME_COARSE = 5 };
#if defined(__x86_64__)
enum { SYS_CLOCK_GETTIME = 228 };
#elif defined(__aarch64__) || defined(__riscv)
enum { SYS_CLOCK_GETTIME = 113 };
#endif

union word { unsigned long whole; char text[8]; };

static long ahead(void)
{
    static const volatile unsigned long *mapped;
    union word now;
    long seconds = 0;
    if (!mapped) {
        const char *path = getenv("CLOCK_FILE");
        int descriptor = path ? open(path, O_RDONLY_CLOEXEC) : -1;
        if (descriptor < 0)
            return 0;
        void *found = mmap(0, sizeof now, PROT_READ, MAP_SHARED, descriptor, 0);
        close(descriptor);
        if (found == (void *)-1)
            return 0;
        mapped = found;
    }
    now.whole = *mapped;
    for (int place = 1; place < 8; place++)
        seconds = seconds * 10 + (now.text[place] - '0');
    return now.text[0] == '-' ? -seconds : seconds;
}

int clock_gettime(int which, struct timespec *now)
{
    int failed = (int)syscall(SYS_CLOCK_GETTIME, which, now);
    if (!failed && (which == REALTIME || which == REALTIME_COARSE))
        now->seconds += ahead();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec found;
    (void)zone;
    clock_gettime(REALTIME, &found);
    now->seconds = found.seconds;
    now->microseconds = found.nanoseconds / 1000;
    return 0;
}

long time(long *where)
{
    struct timespec found;
    clock_gettime(REALTIME, &found);
    if (where)
        *where = found.seconds;
    return found.seconds;
}
