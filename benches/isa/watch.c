// A Vulkan layer that writes down what a driver's compiler makes of every compute pipeline, and which pipelines the
// commands of a program run.
//
//   WATCH_STATS=FILE     a JSON line per pipeline: {"name":..., "id":N, "subgroup":..., the driver's own statistics}
//   WATCH_ISA=FOLDER     N.txt: the driver's representations of pipeline N (intermediate code, machine code); with
//                        WATCH_PRINTED=1 also what the compiler prints meanwhile (drivers that hand none out print
//                        it: one compiler at a time)
//   WATCH_SPV=FOLDER     N.spv: the SPIR-V that pipeline N was made from
//   WATCH_RUNS=FILE      a line per command buffer that is unlike all before: "N:X,Y,Z " for each of its dispatches, a
//                        pipeline and its workgroups
//
// A line of statistics is written when its pipeline is named, as wgpu does with WGPU_DEBUG=1. One instance and one
// device are followed, the last made.
//
// Dispatches, copies and barriers go no further: an emulated device computes nothing, and to record for it takes memory
// that not all have. As nothing takes any time, a ceiling is measured with thousands of launches; Honeykrisp's shim
// cannot map so much, and the device is lost.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vulkan/vulkan.h>
#include <vulkan/vk_layer.h>

enum { MODULES = 1 << 14, PIPELINES = 1 << 14, RECORDING = 64, KNOWN = 4096, LINE = 1 << 14 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static PFN_vkGetInstanceProcAddr next_instance;
static PFN_vkGetDeviceProcAddr next_device;
static VkInstance instance;
static PFN_vkCreateComputePipelines create_pipelines;
static PFN_vkCreateShaderModule create_module;
static PFN_vkDestroyShaderModule destroy_module;
static PFN_vkCmdBindPipeline bind_pipeline;
static PFN_vkBeginCommandBuffer begin_commands;
static PFN_vkEndCommandBuffer end_commands;
static PFN_vkSetDebugUtilsObjectNameEXT set_name;
static PFN_vkGetPipelineExecutablePropertiesKHR get_properties;
static PFN_vkGetPipelineExecutableStatisticsKHR get_statistics;
static PFN_vkGetPipelineExecutableInternalRepresentationsKHR get_representations;

static struct { VkShaderModule module; uint32_t *code; size_t size; } modules[MODULES];
static struct { VkPipeline pipeline; char *text; } pipelines[PIPELINES]; // text: of those made, but not yet named
static int pipeline_count;
static struct { VkCommandBuffer commands; int pipeline; FILE *line; char *text; size_t size; } recording[RECORDING];
static uint64_t known[KNOWN]; // of command buffers that were written down
static int known_count;

static FILE *open_in(const char *variable, int id, const char *end, const char *mode) {
  const char *folder = getenv(variable);
  char path[4096];
  if (!folder) return 0;
  snprintf(path, sizeof path, "%s/%04d.%s", folder, id, end);
  return fopen(path, mode);
}

static void append(char *line, size_t *at, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(line + *at, LINE - *at, format, args);
  va_end(args);
  if (n > 0 && *at + n < LINE) *at += n;
}

static void add_line(const char *variable, const char *before, const char *name, const char *after) {
  const char *path = getenv(variable);
  FILE *f = path ? fopen(path, "a") : 0;
  if (!f) return;
  fputs(before, f);
  for (; *name; name++)
    if (*name == '"' || *name == '\\') fprintf(f, "\\%c", *name);
    else if ((unsigned char)*name >= ' ') fputc(*name, f);
  fprintf(f, "%s\n", after);
  fclose(f);
}

// --- instance and device
#define LINK(type, kind) \
  type *l = (void *)ci->pNext; \
  while (l && !(l->sType == kind && l->function == VK_LAYER_LINK_INFO)) l = (void *)l->pNext; \
  if (!l) return VK_ERROR_INITIALIZATION_FAILED; \
  next_instance = l->u.pLayerInfo->pfnNextGetInstanceProcAddr;

static VKAPI_ATTR VkResult VKAPI_CALL CreateInstance(const VkInstanceCreateInfo *ci, const VkAllocationCallbacks *a,
                                                     VkInstance *out) {
  LINK(VkLayerInstanceCreateInfo, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO)
  l->u.pLayerInfo = l->u.pLayerInfo->pNext;
  VkResult r = ((PFN_vkCreateInstance)next_instance(0, "vkCreateInstance"))(ci, a, out);
  if (!r) instance = *out;
  return r;
}

static VKAPI_ATTR VkResult VKAPI_CALL CreateDevice(VkPhysicalDevice pd, const VkDeviceCreateInfo *ci,
                                                   const VkAllocationCallbacks *a, VkDevice *out) {
  LINK(VkLayerDeviceCreateInfo, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO)
  PFN_vkCreateDevice create = (PFN_vkCreateDevice)next_instance(instance, "vkCreateDevice");
  next_device = l->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  l->u.pLayerInfo = l->u.pLayerInfo->pNext;

  const char **names = malloc(sizeof *names * (ci->enabledExtensionCount + 1));
  memcpy(names, ci->ppEnabledExtensionNames, sizeof *names * ci->enabledExtensionCount);
  names[ci->enabledExtensionCount] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR f = {
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, (void *)ci->pNext, VK_TRUE};
  VkDeviceCreateInfo c = *ci;
  c.pNext = &f;
  c.enabledExtensionCount++;
  c.ppEnabledExtensionNames = names;
  VkResult r = create(pd, &c, a, out);
  int told = !r;
  if (r) {
    fprintf(stderr, "watch layer: this device tells nothing of its pipelines (%d)\n", r);
    r = create(pd, ci, a, out);
  }
  free(names);
  if (r) return r;
#define GET(v, name) v = (void *)next_device(*out, name)
  GET(create_pipelines, "vkCreateComputePipelines");
  GET(create_module, "vkCreateShaderModule");
  GET(destroy_module, "vkDestroyShaderModule");
  GET(bind_pipeline, "vkCmdBindPipeline");
  GET(begin_commands, "vkBeginCommandBuffer");
  GET(end_commands, "vkEndCommandBuffer");
  GET(set_name, "vkSetDebugUtilsObjectNameEXT");
  GET(get_properties, "vkGetPipelineExecutablePropertiesKHR");
  GET(get_statistics, "vkGetPipelineExecutableStatisticsKHR");
  GET(get_representations, "vkGetPipelineExecutableInternalRepresentationsKHR");
  if (!told) get_properties = 0;
  return r;
}

// --- modules and pipelines
static VKAPI_ATTR VkResult VKAPI_CALL CreateShaderModule(VkDevice d, const VkShaderModuleCreateInfo *ci,
                                                         const VkAllocationCallbacks *a, VkShaderModule *out) {
  VkResult r = create_module(d, ci, a, out);
  if (r) return r;
  pthread_mutex_lock(&lock);
  for (int k = 0; k < MODULES; k++)
    if (!modules[k].module) {
      modules[k].module = *out;
      modules[k].size = ci->codeSize;
      modules[k].code = memcpy(malloc(ci->codeSize), ci->pCode, ci->codeSize);
      break;
    }
  pthread_mutex_unlock(&lock);
  return r;
}

static VKAPI_ATTR void VKAPI_CALL DestroyShaderModule(VkDevice d, VkShaderModule m, const VkAllocationCallbacks *a) {
  pthread_mutex_lock(&lock);
  for (int k = 0; m && k < MODULES; k++)
    if (modules[k].module == m) {
      free(modules[k].code);
      modules[k].module = VK_NULL_HANDLE;
    }
  pthread_mutex_unlock(&lock);
  destroy_module(d, m, a);
}

static void keep_code(VkShaderModule m, int id) {
  FILE *f = open_in("WATCH_SPV", id, "spv", "wb");
  for (int k = 0; f && k < MODULES; k++)
    if (modules[k].module == m) fwrite(modules[k].code, 1, modules[k].size, f);
  if (f) fclose(f);
}

// What one executable of a pipeline is: into the line, and its representations into `isa`.
static void describe(VkDevice d, VkPipeline p, uint32_t index, char *line, size_t *at, FILE *isa) {
  VkPipelineExecutableInfoKHR info = {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, 0, p, index};
  VkPipelineExecutableStatisticKHR st[64];
  uint32_t n = 64;
  memset(st, 0, sizeof st);
  for (int k = 0; k < 64; k++) st[k].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
  get_statistics(d, &info, &n, st);
  for (uint32_t k = 0; k < n; k++) {
    append(line, at, ",\"%s\":", st[k].name);
    switch (st[k].format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR: append(line, at, "%g", st[k].value.f64); break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: append(line, at, "%u", st[k].value.b32); break;
    default: append(line, at, "%llu", (unsigned long long)st[k].value.u64);
    }
  }
  if (!isa) return;
  VkPipelineExecutableInternalRepresentationKHR ir[32];
  n = 32;
  memset(ir, 0, sizeof ir);
  for (int k = 0; k < 32; k++) ir[k].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
  get_representations(d, &info, &n, ir);
  for (uint32_t k = 0; k < n; k++) ir[k].pData = calloc(1, ir[k].dataSize + 1);
  get_representations(d, &info, &n, ir);
  for (uint32_t k = 0; k < n; k++) {
    fprintf(isa, "==== %s\n", ir[k].name);
    if (ir[k].isText) fwrite(ir[k].pData, 1, strnlen(ir[k].pData, ir[k].dataSize), isa);
    fputc('\n', isa);
    free(ir[k].pData);
  }
}

// One pipeline, with `lock` held.
static VkResult create_one(VkDevice d, VkComputePipelineCreateInfo c, const VkAllocationCallbacks *a, VkPipeline *out) {
  if (pipeline_count == PIPELINES) return create_pipelines(d, VK_NULL_HANDLE, 1, &c, a, out);
  int id = pipeline_count++;
  FILE *isa = open_in("WATCH_ISA", id, "txt", "w");
  c.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
  if (isa) c.flags |= VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
  int kept[2] = {-1, -1};
  if (isa && getenv("WATCH_PRINTED")) {
    fflush(stdout), fflush(stderr);
    kept[0] = dup(1), kept[1] = dup(2);
    dup2(fileno(isa), 1), dup2(fileno(isa), 2);
  }
  // No cache: it could answer in the compiler's place.
  VkResult r = create_pipelines(d, VK_NULL_HANDLE, 1, &c, a, out);
  if (kept[0] >= 0) {
    fflush(stdout), fflush(stderr);
    dup2(kept[0], 1), dup2(kept[1], 2);
    close(kept[0]), close(kept[1]);
    fseek(isa, 0, SEEK_END);
  }
  if (!r) {
    keep_code(c.stage.module, id);
    VkPipelineInfoKHR info = {VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, 0, *out};
    VkPipelineExecutablePropertiesKHR properties[4];
    uint32_t n = 4;
    memset(properties, 0, sizeof properties);
    for (int k = 0; k < 4; k++) properties[k].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR;
    get_properties(d, &info, &n, properties);
    char *line = calloc(1, LINE);
    size_t at = 0;
    append(line, &at, "\",\"id\":%d,\"subgroup\":%u", id, properties[0].subgroupSize);
    for (uint32_t e = 0; e < n; e++) describe(d, *out, e, line, &at, isa);
    append(line, &at, "}");
    pipelines[id].pipeline = *out;
    pipelines[id].text = line;
  }
  if (isa) fclose(isa);
  return r;
}

static VKAPI_ATTR VkResult VKAPI_CALL CreateComputePipelines(VkDevice d, VkPipelineCache cache, uint32_t count,
                                                             const VkComputePipelineCreateInfo *ci,
                                                             const VkAllocationCallbacks *a, VkPipeline *out) {
  if (!get_properties) return create_pipelines(d, cache, count, ci, a, out);
  pthread_mutex_lock(&lock);
  VkResult r = VK_SUCCESS;
  for (uint32_t i = 0; i < count; i++) {
    out[i] = VK_NULL_HANDLE;
    if (!r) r = create_one(d, ci[i], a, out + i);
  }
  pthread_mutex_unlock(&lock);
  return r;
}

static int id_of(VkPipeline p) { // a handle may be used again: the last of them
  for (int k = pipeline_count - 1; k >= 0; k--)
    if (pipelines[k].pipeline == p) return k;
  return -1;
}

static VKAPI_ATTR VkResult VKAPI_CALL SetName(VkDevice d, const VkDebugUtilsObjectNameInfoEXT *i) {
  if (i->objectType == VK_OBJECT_TYPE_PIPELINE) {
    pthread_mutex_lock(&lock);
    int k = id_of((VkPipeline)i->objectHandle);
    if (k >= 0 && pipelines[k].text) {
      add_line("WATCH_STATS", "{\"name\":\"", i->pObjectName ? i->pObjectName : "", pipelines[k].text);
      free(pipelines[k].text);
      pipelines[k].text = 0;
    }
    pthread_mutex_unlock(&lock);
  }
  return set_name ? set_name(d, i) : VK_SUCCESS;
}

// --- commands
static int recorded(VkCommandBuffer c) {
  for (int k = 0; k < RECORDING; k++)
    if (recording[k].commands == c) return k;
  return -1;
}

static VKAPI_ATTR VkResult VKAPI_CALL BeginCommandBuffer(VkCommandBuffer c, const VkCommandBufferBeginInfo *i) {
  pthread_mutex_lock(&lock);
  int k = recorded(c);
  if (k < 0) k = recorded(VK_NULL_HANDLE);
  if (k >= 0) {
    if (recording[k].line) fclose(recording[k].line), free(recording[k].text);
    recording[k].commands = c;
    recording[k].pipeline = -1;
    recording[k].line = open_memstream(&recording[k].text, &recording[k].size);
  }
  pthread_mutex_unlock(&lock);
  return begin_commands(c, i);
}

static int seen(const char *text) { // FNV-1a
  uint64_t hash = 0xcbf29ce484222325;
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
  for (int k = 0; k < known_count; k++)
    if (known[k] == hash) return 1;
  if (known_count < KNOWN) known[known_count++] = hash;
  return 0;
}

static VKAPI_ATTR VkResult VKAPI_CALL EndCommandBuffer(VkCommandBuffer c) {
  pthread_mutex_lock(&lock);
  int k = recorded(c);
  if (k >= 0) {
    fclose(recording[k].line);
    if (recording[k].size && !seen(recording[k].text)) add_line("WATCH_RUNS", "", recording[k].text, "");
    free(recording[k].text);
    memset(&recording[k], 0, sizeof recording[k]);
  }
  pthread_mutex_unlock(&lock);
  return end_commands(c);
}

static VKAPI_ATTR void VKAPI_CALL CmdBindPipeline(VkCommandBuffer c, VkPipelineBindPoint point, VkPipeline p) {
  pthread_mutex_lock(&lock);
  int k = recorded(c);
  if (k >= 0) recording[k].pipeline = id_of(p);
  pthread_mutex_unlock(&lock);
  bind_pipeline(c, point, p);
}

static VKAPI_ATTR void VKAPI_CALL CmdDispatch(VkCommandBuffer c, uint32_t x, uint32_t y, uint32_t z) {
  pthread_mutex_lock(&lock);
  int k = recorded(c);
  if (k >= 0) fprintf(recording[k].line, "%d:%u,%u,%u ", recording[k].pipeline, x, y, z);
  pthread_mutex_unlock(&lock);
}

static VKAPI_ATTR void VKAPI_CALL CmdCopyBuffer(VkCommandBuffer c, VkBuffer from, VkBuffer to, uint32_t n,
                                                const VkBufferCopy *regions) {}

static VKAPI_ATTR void VKAPI_CALL CmdFillBuffer(VkCommandBuffer c, VkBuffer b, VkDeviceSize at, VkDeviceSize size,
                                                uint32_t value) {}

static VKAPI_ATTR void VKAPI_CALL CmdPipelineBarrier(VkCommandBuffer c, VkPipelineStageFlags from,
                                                     VkPipelineStageFlags to, VkDependencyFlags flags, uint32_t m,
                                                     const VkMemoryBarrier *memory, uint32_t b,
                                                     const VkBufferMemoryBarrier *buffer, uint32_t i,
                                                     const VkImageMemoryBarrier *image) {}

// --- what the loader asks for
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetDeviceProcAddr(VkDevice d, const char *s);
#define OWN(f) if (!strcmp(s, "vk" #f)) return (PFN_vkVoidFunction)f;
static PFN_vkVoidFunction own(const char *s) {
  OWN(CreateComputePipelines)
  OWN(CreateShaderModule)
  OWN(DestroyShaderModule)
  OWN(BeginCommandBuffer)
  OWN(EndCommandBuffer)
  OWN(CmdBindPipeline)
  OWN(CmdDispatch)
  OWN(CmdCopyBuffer)
  OWN(CmdFillBuffer)
  OWN(CmdPipelineBarrier)
  OWN(GetDeviceProcAddr)
  if (!strcmp(s, "vkSetDebugUtilsObjectNameEXT")) return (PFN_vkVoidFunction)SetName;
  return 0;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetDeviceProcAddr(VkDevice d, const char *s) {
  PFN_vkVoidFunction f = own(s);
  return f ? f : next_device(d, s);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetInstanceProcAddr(VkInstance i, const char *s) {
  OWN(GetInstanceProcAddr)
  OWN(CreateInstance)
  OWN(CreateDevice)
  PFN_vkVoidFunction f = own(s);
  return f ? f : next_instance ? next_instance(i, s) : 0;
}

VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *v) {
  v->loaderLayerInterfaceVersion = 2;
  v->pfnGetInstanceProcAddr = GetInstanceProcAddr;
  v->pfnGetDeviceProcAddr = GetDeviceProcAddr;
  v->pfnGetPhysicalDeviceProcAddr = 0;
  return VK_SUCCESS;
}
