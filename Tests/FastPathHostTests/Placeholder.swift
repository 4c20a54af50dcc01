import Testing

@Test func placeholderFastPathHostTests() {}
