#include <libpq-fe.h>

// Of <spawn.h>, which shows it only to GNU sources. `actions` is a posix_spawn_file_actions_t.
int posix_spawn_file_actions_addclosefrom_np(void *actions, int from);
