#include "openapi.h"

// As an array literal of Swift's, the compiler takes minutes for it.
#pragma clang diagnostic ignored "-Wc23-extensions"
static const unsigned char document[] = {
#embed "openapi.yaml"
};

const unsigned char *openapi_document(void) { return document; }

size_t openapi_document_size(void) { return sizeof document; }
