/** The only globals outside ECMAScript that every host of the core has. */
declare function structuredClone<T>(value: T): T;
