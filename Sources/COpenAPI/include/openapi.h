#pragma once
#include <stddef.h>

/// The contract, `openapi.yaml`, as it was when this was compiled.
const unsigned char *openapi_document(void);
/// In bytes.
size_t openapi_document_size(void);
