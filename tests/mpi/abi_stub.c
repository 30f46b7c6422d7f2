/* An MPI library of one process that says it has two ranks: what is sent to the other one comes back from it. It has
   the standard interface of MPI 4.2, and refuses every constant that is not of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t handle;
enum { WORLD = 0x101, BYTE = 0x247, ERRORS_RETURN = 0x143, THREAD_MULTIPLE = 4096, OTHER = 1, MOST = 4096 };
enum { WRONG_COMM = 5, WRONG_TYPE = 3, WRONG_RANK = 6, WRONG_STATUS = 13, WRONG_LEVEL = 12, TOO_MANY = 15 };

struct message { void *bytes; int count, tag, taken; };
static struct message sent[MOST], awaited[MOST];
static int sends, receives, initialized;

int MPI_Abi_get_version(int *major, int *minor) { *major = 1; *minor = 0; return 0; }

int MPI_Init_thread(void *argc, void *argv, int required, int *provided) {
  if (required != THREAD_MULTIPLE) return WRONG_LEVEL;
  *provided = required;
  initialized = 1;
  return argc != NULL || argv != NULL;
}

int MPI_Comm_set_errhandler(handle comm, handle handler) {
  return comm == WORLD && handler == ERRORS_RETURN ? 0 : WRONG_COMM;
}

int MPI_Comm_rank(handle comm, int *rank) { *rank = 0; return comm == WORLD ? 0 : WRONG_COMM; }

int MPI_Comm_size(handle comm, int *size) { *size = 2; return comm == WORLD ? 0 : WRONG_COMM; }

int MPI_Get_library_version(char *text, int *length) {
  strcpy(text, "a stub of the standard interface");
  *length = (int)strlen(text);
  return 0;
}

int MPI_Error_string(int code, char *text, int *length) {
  strcpy(text, "the stub was called with ?");
  *length = (int)strlen(text);
  text[*length - 1] = (char)('A' + code);
  return 0;
}

static int check(int count, handle type, int rank, handle comm) {
  if (comm != WORLD) return WRONG_COMM;
  if (type != BYTE || count < 0) return WRONG_TYPE;
  return rank == OTHER ? 0 : WRONG_RANK;
}

int MPI_Isend(const void *bytes, int count, handle type, int rank, int tag, handle comm, handle *request) {
  int code = check(count, type, rank, comm);
  if (code != 0 || sends == MOST) return code != 0 ? code : TOO_MANY;
  struct message *message = &sent[sends++];
  message->bytes = malloc((size_t)count + 1);
  memcpy(message->bytes, bytes, (size_t)count);
  message->count = count;
  message->tag = tag;
  *request = UINT64_C(0x100000000); /* done at once; more than 32 bits */
  return 0;
}

int MPI_Irecv(void *bytes, int count, handle type, int rank, int tag, handle comm, handle *request) {
  int code = check(count, type, rank, comm);
  if (code != 0 || receives == MOST) return code != 0 ? code : TOO_MANY;
  awaited[receives] = (struct message){ .bytes = bytes, .count = count, .tag = tag };
  *request = UINT64_C(0x200000000) + (handle)receives++;
  return 0;
}

int MPI_Test(handle *request, int *flag, void *status) {
  if (status != NULL) return WRONG_STATUS; /* MPI_STATUS_IGNORE is 0 */
  *flag = 1;
  if (*request < UINT64_C(0x200000000)) return 0;
  struct message *to = &awaited[*request - UINT64_C(0x200000000)];
  for (int index = 0; index < sends; index++) {
    struct message *from = &sent[index];
    if (from->taken || from->tag != to->tag) continue;
    if (from->count > to->count) return TOO_MANY;
    memcpy(to->bytes, from->bytes, (size_t)from->count);
    free(from->bytes);
    from->taken = 1;
    return 0;
  }
  *flag = 0;
  return 0;
}

int MPI_Finalize(void) { return initialized ? 0 : WRONG_LEVEL; }

int MPI_Abort(handle comm, int code) { _Exit(comm == WORLD ? code : 99); }
