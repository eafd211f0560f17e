/* A Vulkan layer that takes a device away: LIMN_LOSE says how and when.
 *
 *   lost:N     from its Nth submission on everything that is asked of a device fails with VK_ERROR_DEVICE_LOST
 *   wait:N     the same from the Nth time on that it is waited for, or asked how far it is
 *   memory:N   its Nth submission fails with VK_ERROR_OUT_OF_DEVICE_MEMORY
 *   hang:N     from its Nth submission on nothing is run, and no fence or semaphore is signalled any more
 *   room:N     its Nth allocation fails with VK_ERROR_OUT_OF_DEVICE_MEMORY
 *   barriers:0 nothing is lost but barriers, all of them: what a validation of synchronisation has to notice
 *
 * With LIMN_LOSE_AGAIN it happens to every device, without to the first alone. What Vulkan's headers would declare is
 * declared here, as far as it is used. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int32_t Result;
typedef void (*Function)(void);
typedef Function (*GetProc)(void *, const char *);
enum { OK = 0, TIMEOUT = 2, OUT_OF_DEVICE_MEMORY = -2, DEVICE_LOST = -4 };
enum { INSTANCE_LINK = 47, DEVICE_LINK = 48 };

typedef struct Link { struct Link *next; GetProc instance; GetProc device; } Link;
typedef struct Chain { int32_t type; struct Chain *next; int32_t function; Link *link; } Chain;
typedef struct { int32_t type; Chain *next; } Created;

static GetProc next_instance, next_device;
static char how[16];
static long at, submitted, allocated, waited;
static int devices;
/* The device that fails, and whether it does already. */
static void *victim;
static int failing;
/* The device that was made last. */
static void *newest;

static void read_plan(void) {
  const char *plan = getenv("LIMN_LOSE");
  if (plan) sscanf(plan, "%15[a-z]:%ld", how, &at);
}

static int is(const char *name) { return strcmp(how, name) == 0; }

/* The layer's link of a chain, which it takes for itself. */
static Link *link_of(const Created *created, int type) {
  Chain *chain = created->next;
  while (chain && (chain->type != type || chain->function != 0)) chain = chain->next;
  if (!chain) return NULL;
  Link *link = chain->link;
  chain->link = link->next;
  return link;
}

#define NEXT(name, ...) ((Result(*)(__VA_ARGS__))next_device(device, name))

static Result create_instance(const Created *created, const void *allocator, void **instance) {
  Link *link = link_of(created, INSTANCE_LINK);
  if (!link) return -3;
  read_plan();
  next_instance = link->instance;
  return ((Result(*)(const Created *, const void *, void **))next_instance(NULL, "vkCreateInstance"))(
      created, allocator, instance);
}

static Result create_device(void *physical, const Created *created, const void *allocator, void **device) {
  Link *link = link_of(created, DEVICE_LINK);
  if (!link) return -3;
  next_device = link->device;
  Result made = ((Result(*)(void *, const Created *, const void *, void **))link->instance(NULL, "vkCreateDevice"))(
      physical, created, allocator, device);
  if (made == OK) newest = *device;
  if (made == OK && (devices++ == 0 || getenv("LIMN_LOSE_AGAIN"))) {
    victim = *device;
    failing = 0;
    submitted = allocated = waited = 0;
  }
  return made;
}

/* Queues are told from each other by the device they were asked of. */
static struct { void *queue, *device; } queues[64];
static int known;

static void get_queue(void *device, uint32_t family, uint32_t index, void **queue) {
  ((void (*)(void *, uint32_t, uint32_t, void **))next_device(device, "vkGetDeviceQueue"))(device, family, index, queue);
  queues[known % 64].queue = *queue;
  queues[known++ % 64].device = device;
}

static void *device_of(void *queue) {
  for (int i = (known < 64 ? known : 64) - 1; i >= 0; i--)
    if (queues[i].queue == queue) return queues[i].device;
  return NULL;
}

static int gone(void *device) { return device == victim && failing && (is("lost") || is("wait")); }
static int hangs(void *device) { return device == victim && failing && is("hang"); }

/* Whether the device is found to be lost by whoever waits for it. */
static int lost_by_now(void *device) {
  if (device == victim && is("wait") && ++waited >= at && !failing) {
    fprintf(stderr, "the layer: lost at wait %ld\n", waited);
    failing = 1;
    NEXT("vkDeviceWaitIdle", void *)(device);
  }
  return gone(device);
}

static Result submit(void *queue, uint32_t count, const void *submits, uint64_t fence) {
  void *device = device_of(queue);
  if (gone(device)) return DEVICE_LOST;
  if (device == victim && ++submitted >= at && at > 0 && !is("room") && !is("wait")) {
    if (!failing) {
      fprintf(stderr, "the layer: %s at submission %ld\n", how, submitted);
      /* Nothing runs on a device that is lost. */
      if (is("lost")) NEXT("vkQueueWaitIdle", void *)(queue);
    }
    if (is("memory") && failing++ == 0) return OUT_OF_DEVICE_MEMORY;
    failing = 1;
    if (is("lost")) return DEVICE_LOST;
    if (is("hang")) return OK;
  }
  return NEXT("vkQueueSubmit", void *, uint32_t, const void *, uint64_t)(queue, count, submits, fence);
}

static Result wait_semaphores(void *device, const void *info, uint64_t timeout) {
  if (lost_by_now(device)) return DEVICE_LOST;
  return NEXT("vkWaitSemaphores", void *, const void *, uint64_t)(device, info, timeout);
}

static Result counter(void *device, uint64_t semaphore, uint64_t *value) {
  if (lost_by_now(device)) return DEVICE_LOST;
  return NEXT("vkGetSemaphoreCounterValue", void *, uint64_t, uint64_t *)(device, semaphore, value);
}

static Result wait_fences(void *device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout) {
  if (lost_by_now(device)) return DEVICE_LOST;
  return NEXT("vkWaitForFences", void *, uint32_t, const uint64_t *, uint32_t, uint64_t)(
      device, count, fences, all, timeout);
}

static Result idle(void *device) {
  if (gone(device)) return DEVICE_LOST;
  /* As a device that hangs does. */
  while (hangs(device)) sleep(1);
  return NEXT("vkDeviceWaitIdle", void *)(device);
}

static Result queue_idle(void *queue) {
  void *device = device_of(queue);
  if (gone(device)) return DEVICE_LOST;
  while (hangs(device)) sleep(1);
  return NEXT("vkQueueWaitIdle", void *)(queue);
}

static Result allocate(void *device, const void *info, const void *allocator, uint64_t *memory) {
  if (device == victim && is("room") && ++allocated == at) {
    fprintf(stderr, "the layer: no room at allocation %ld\n", allocated);
    return OUT_OF_DEVICE_MEMORY;
  }
  return NEXT("vkAllocateMemory", void *, const void *, const void *, uint64_t *)(device, info, allocator, memory);
}

static void barrier(void *commands, uint32_t before, uint32_t after, uint32_t flags, uint32_t memories, const void *memory,
                    uint32_t buffers, const void *buffer, uint32_t images, const void *image) {
  if (is("barriers")) return;
  ((void (*)(void *, uint32_t, uint32_t, uint32_t, uint32_t, const void *, uint32_t, const void *, uint32_t,
             const void *))next_device(newest, "vkCmdPipelineBarrier"))(
      commands, before, after, flags, memories, memory, buffers, buffer, images, image);
}

static const struct { const char *name; Function function; } ours[] = {
    {"vkCreateInstance", (Function)create_instance},
    {"vkCreateDevice", (Function)create_device},
    {"vkGetDeviceQueue", (Function)get_queue},
    {"vkQueueSubmit", (Function)submit},
    {"vkWaitSemaphores", (Function)wait_semaphores},
    {"vkWaitSemaphoresKHR", (Function)wait_semaphores},
    {"vkGetSemaphoreCounterValue", (Function)counter},
    {"vkGetSemaphoreCounterValueKHR", (Function)counter},
    {"vkWaitForFences", (Function)wait_fences},
    {"vkDeviceWaitIdle", (Function)idle},
    {"vkQueueWaitIdle", (Function)queue_idle},
    {"vkAllocateMemory", (Function)allocate},
    {"vkCmdPipelineBarrier", (Function)barrier},
};

Function vkGetDeviceProcAddr(void *device, const char *name);

static Function own(const char *name) {
  if (strcmp(name, "vkGetDeviceProcAddr") == 0) return (Function)vkGetDeviceProcAddr;
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (strcmp(name, ours[i].name) == 0) return ours[i].function;
  return NULL;
}

Function vkGetDeviceProcAddr(void *device, const char *name) {
  Function found = own(name);
  return found ? found : next_device(device, name);
}

Function vkGetInstanceProcAddr(void *instance, const char *name) {
  if (strcmp(name, "vkGetInstanceProcAddr") == 0) return (Function)vkGetInstanceProcAddr;
  Function found = own(name);
  return found ? found : next_instance ? next_instance(instance, name) : NULL;
}
