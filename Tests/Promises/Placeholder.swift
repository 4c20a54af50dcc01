import Testing

@Test func placeholderPromises() {}
