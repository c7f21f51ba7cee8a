/**
 * Fixed interrupts of a local APIC: requested, in service, and which of them the processor may take.
 * Source: SDM Vol. 3A, 10.8.3 (priority of interrupts and of the processor), 10.8.4 (IRR, ISR, TMR).
 */
import { VectorSet } from './vector-set.ts';

export class InterruptQueue {
  readonly requested = new VectorSet();
  readonly inService = new VectorSet();
  /** Vectors that were last accepted level-triggered: their EOI is broadcast. */
  readonly levelTriggered = new VectorSet();
  /** TPR, 8 bits. */
  taskPriority = 0;

  clear(): void {
    this.requested.clear();
    this.inService.clear();
    this.levelTriggered.clear();
    this.taskPriority = 0;
  }

  /** PPR: the task's priority or that of the highest interrupt in service. */
  get processorPriority(): number {
    const highest = this.inService.highest;
    const service = highest < 0 ? 0 : highest & 0xf0;
    return (this.taskPriority & 0xf0) >= service ? this.taskPriority : service;
  }

  /** The vector that the processor would take now, or -1. */
  get deliverable(): number {
    const vector = this.requested.highest;
    return vector >= 0 && (vector & 0xf0) > (this.processorPriority & 0xf0) ? vector : -1;
  }

  request(vector: number, level: boolean): void {
    this.requested.add(vector);
    if (level) this.levelTriggered.add(vector);
    else this.levelTriggered.delete(vector);
  }

  takeInService(vector: number): void {
    this.requested.delete(vector);
    this.inService.add(vector);
  }

  /** Ends the highest interrupt in service. @returns its vector, or -1 */
  end(): number {
    const vector = this.inService.highest;
    if (vector >= 0) this.inService.delete(vector);
    return vector;
  }
}
